// SPDX-License-Identifier: BSL-1.0
// The heap of deadlines against a multimap.
#include <concur/detail/event_loop/deadline_heap.hpp>

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <random>
#include <vector>

using namespace concur::detail;

namespace {

struct node : deadline_node {
    node() : deadline_node([](deadline_node& n) noexcept { ++static_cast<node&>(n).calls; }) {}
    int calls = 0;
    time_point when;
};

time_point at(int t) { return time_point(std::chrono::milliseconds(t)); }

}  // namespace

TEST_CASE("deadline_heap: in order, whatever is pushed and removed") {
    std::mt19937 random(7);
    for (int round = 0; round != 50; ++round) {
        deadline_heap heap;
        std::vector<std::unique_ptr<node>> nodes;
        std::multimap<time_point, node*> expected;
        for (int i = 0; i != 400; ++i) {
            if (random() % 3 != 0 || expected.empty()) {
                auto& n = *nodes.emplace_back(std::make_unique<node>());
                n.when = at(static_cast<int>(random() % 100));
                heap.push(n.when, n);
                expected.emplace(n.when, &n);
                CHECK(n.armed());
            } else {
                auto gone = expected.begin();
                std::advance(gone, static_cast<int>(random() % expected.size()));
                heap.remove(*gone->second);
                CHECK_FALSE(gone->second->armed());
                expected.erase(gone);
            }
            REQUIRE(heap.size() == expected.size());
            if (!expected.empty()) CHECK(heap.earliest() == expected.begin()->first);
        }
        for (int t = 0; t <= 100; t += 10) {
            while (auto* due = heap.pop_due(at(t))) {
                auto& n = static_cast<node&>(*due);
                CHECK(n.when <= at(t));
                CHECK(n.when == expected.begin()->first);
                auto same = expected.lower_bound(n.when);
                while (same->second != &n) ++same;
                expected.erase(same);
            }
            CHECK((expected.empty() || expected.begin()->first > at(t)));
        }
        CHECK(heap.empty());
    }
}

TEST_CASE("deadline_heap: nothing in it") {
    deadline_heap heap;
    CHECK(heap.empty());
    CHECK(heap.earliest() == time_point::max());
    CHECK(heap.pop_due(time_point::max()) == nullptr);
}

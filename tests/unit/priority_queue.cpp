// SPDX-License-Identifier: BSL-1.0
// Tasks with a priority: the highest first, in the order of their coming among equals.
#include "load.hpp"

#include <concur/detail/sync/priority_queue.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <climits>
#include <memory>
#include <thread>

using queue = concur::detail::priority_queue;
using item = concur::detail::queue_link;

namespace {

struct counted : item {
    int seen = 0;  // not atomic: a second taker would be a data race
};

}  // namespace

TEST_CASE("priority_queue: empty gives nothing") {
    queue q;
    CHECK(q.empty());
    CHECK_FALSE(q.any_above());
    CHECK(q.take(false) == nullptr);
    CHECK(q.take(true) == nullptr);
}

TEST_CASE("priority_queue: highest first, first in first out among equals") {
    queue q;
    std::array<item, 6> i;
    q.push(1, i[0]);
    q.push(5, i[1]);
    q.push(-3, i[2]);
    q.push(1, i[3]);
    q.push(INT_MAX, i[4]);
    q.push(INT_MIN, i[5]);
    CHECK(q.any_above());
    CHECK(q.take(false) == &i[4]);
    CHECK(q.take(false) == &i[1]);
    CHECK(q.take(false) == &i[0]);
    CHECK(q.take(false) == &i[3]);
    CHECK_FALSE(q.any_above());
    CHECK_FALSE(q.empty());
    CHECK(q.take(false) == &i[2]);
    CHECK(q.take(false) == &i[5]);
    CHECK(q.empty());
}

TEST_CASE("priority_queue: asked for those above the usual, it leaves the others") {
    queue q;
    std::array<item, 3> i;
    q.push(-1, i[0]);
    CHECK(q.take(true) == nullptr);
    q.push(2, i[1]);
    q.push(-2, i[2]);
    CHECK(q.take(true) == &i[1]);
    CHECK(q.take(true) == nullptr);
    CHECK(q.take(false) == &i[0]);
    CHECK(q.take(false) == &i[2]);
    CHECK(q.take(false) == nullptr);
}

TEST_CASE("priority_queue: threads push and take, each item comes out once") {
    constexpr int each = unit::load(200'000);
    queue q;
    const std::unique_ptr<counted[]> items(new counted[2 * each]);
    std::atomic<int> left = 2 * each;
    const auto takes = [&] {
        for (bool only_above = true; left > 0; only_above = !only_above) {
            auto* const taken = q.take(only_above);
            if (!taken) continue;
            ++static_cast<counted*>(taken)->seen;
            --left;
        }
    };
    const auto pushes = [&](int first) {
        for (int i = 0; i != each; ++i)
            q.push(i % 7 - 3, items[static_cast<std::size_t>(first + i)]);
    };
    {
        const std::jthread a(pushes, 0), b(pushes, each), c(takes), d(takes);
    }
    const auto once = [](const counted& one) { return one.seen == 1; };
    CHECK(std::all_of(items.get(), items.get() + 2 * each, once));
    CHECK(q.empty());
}

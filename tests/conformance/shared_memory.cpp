// SPDX-License-Identifier: BSL-1.0
// Shared memory on every executor: the same program, and every task sees the same elements.
#include "all_executors.hpp"
#include "tools.hpp"

#include <concur/callable.hpp>
#include <concur/shared_array.hpp>
#include <concur/shared_object.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <numeric>
#include <vector>

using concur::shared_array;
using concur::shared_object;

namespace {

long sum(const shared_array<const int>& a) { return std::accumulate(a.begin(), a.end(), 0L); }
void set(shared_array<int> a, std::size_t i, int value) { a[i] = value; }
shared_array<int> make(int n) { return shared_array<int>(n, n); }
shared_array<int> pass_on(shared_array<int> a) { return a; }

struct board {
    std::atomic<long> sum;
    std::atomic<int> bins[4];
};
struct count_into {
    shared_object<board> results;
    void operator()(int x) const {
        results->sum += x;
        ++results->bins[x % 4];
    }
};

}  // namespace

TEST_CASE_TEMPLATE("a task reads and writes the caller's elements", E, CONCUR_EXECUTORS) {
    auto ex = E::make();
    shared_array<int> a(100, 1);
    const shared_array<const int> view = a;
    CHECK(ex.submit(&sum, view).get() == 100);
    ex.submit(&set, a, 3u, 51).get();
    CHECK(a[3] == 51);
    CHECK(view[3] == 51);
    CHECK(ex.submit(&sum, view).get() == 150);
}

TEST_CASE_TEMPLATE("a task makes an array, another one gets it", E, CONCUR_EXECUTORS) {
    auto ex = E::make();
    auto made = ex.submit(&make, 20);
    auto passed = ex.submit(&pass_on, std::move(made));
    const auto a = passed.get();
    CHECK(a.size() == 20);
    CHECK(sum(a) == 400);
    CHECK(ex.submit(&pass_on, a).get().data() == a.data());
    CHECK(ex.submit(&pass_on, shared_array<int>()).get().empty());
}

TEST_CASE_TEMPLATE("tasks count into one object", E, CONCUR_EXECUTORS) {
    auto ex = E::make();
    shared_object<board> results;
    std::vector<int> xs(1000);
    std::iota(xs.begin(), xs.end(), 0);
    ex.for_each(count_into{results}, xs);
    CHECK(results->sum == 499500);
    for (const auto& bin : results->bins) CHECK(bin == 250);
}

TEST_CASE_TEMPLATE("a map over parts of one array", E, CONCUR_EXECUTORS) {
    auto ex = E::make();
    shared_array<int> a(1000);
    auto square = [](const shared_array<int>& array, int part) {
        for (auto i = static_cast<std::size_t>(part) * 100;
             i != (static_cast<std::size_t>(part) + 1) * 100; ++i) {
            array[i] = static_cast<int>(i * i);
        }
        return part;
    };
    std::vector<int> parts(10);
    std::iota(parts.begin(), parts.end(), 0);
    CHECK(ex.map(concur::partial(square, a), parts).collect() == parts);
    CHECK(a[999] == 998001);
    CHECK(a[0] == 0);
    CHECK(a[500] == 250000);
}

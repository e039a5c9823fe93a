// SPDX-License-Identifier: BSL-1.0
// New here: a task may submit to its own pool and wait for it. The worker that waits runs the work
// that it waits for, so even one worker is enough, and no depth is too deep.
// Read 07_any_executor.cpp next.

#include <concur/thread_pool.hpp>
#include <concur/when.hpp>

#include <algorithm>
#include <cstdio>
#include <span>
#include <utility>
#include <vector>

// The smaller half goes to the left, then each half is a task. [&] is safe: both are waited for.
void quick_sort(concur::thread_pool& pool, std::span<int> values) {
    if (values.size() < 1000) return std::sort(values.begin(), values.end());
    auto const half = values.size() / 2;
    std::nth_element(values.begin(), values.begin() + std::ssize(values) / 2, values.end());
    auto left = pool.submit([&] { quick_sort(pool, values.first(half)); });
    auto right = pool.submit([&] { quick_sort(pool, values.subspan(half)); });
    concur::when_all(std::move(left), std::move(right)).get();  // both, also if one throws
}

int main() {
    std::vector<int> values;
    for (int i = 0, value = 1; i < 100'000; ++i) {
        value = static_cast<int>(value * 48'271LL % 65'537);
        values.push_back(value);
    }

    concur::thread_pool pool(1);
    auto sorting = pool.submit([&] { quick_sort(pool, values); });
    sorting.get();
    bool const sorted = std::is_sorted(values.begin(), values.end());
    std::printf("%s, by %zu worker\n", sorted ? "sorted" : "not sorted", pool.worker_count());

    // Waiting for oneself would never end, so it throws instead.
    concur::promise<concur::shared_future<void>> promise;
    auto self = pool.submit([&] { promise.get_future().get().get(); }).share();
    promise.set_value(self);
    try {
        self.get();
    } catch (concur::would_deadlock const& problem) {
        std::printf("%s\n", problem.what());
    }
}

// Output:
// sorted, by 1 worker
// this task waits for itself, directly or through others that wait for it

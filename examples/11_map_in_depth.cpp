// SPDX-License-Identifier: BSL-1.0
// New here: the rest of map. An endless input, elements changed in place, everything at once, a
// reduction that gives the same on every executor. Read 12_a_task_that_crashes.cpp next.

#include <concur/thread_pool.hpp>

#include <atomic>
#include <cstdio>
#include <functional>
#include <ranges>
#include <string>
#include <vector>

int square(int x) { return x * x; }

int main() {
    concur::thread_pool pool;

    // Lazy: at most 16 inputs are in flight or unread, so the input may be endless.
    for (int y : pool.map({.window = 16}, square, std::views::iota(1))) {
        std::printf("%d ", y);
        if (y >= 100) break;  // cancels what has not started and waits for what runs
    }
    std::printf("\n");

    // Several ranges in step, up to the shortest; everything as a vector.
    std::vector<int> const counts{1, 2, 3};
    std::vector<std::string> const words{"a", "b", "c", "not used"};
    auto const repeat = [](int n, std::string const& word) {
        std::string text;
        while (n-- > 0) text += word;
        return text;
    };
    for (auto const& text : pool.map(repeat, counts, words).collect()) {
        std::printf("%s ", text.c_str());
    }
    std::printf("\n");

    // In place: f gets the elements of a container that you keep.
    std::vector<double> values(1000, 0.1);
    pool.for_each([](double& x) { x *= 2; }, values);

    // The brackets depend on the number of items only: the same bits with any number of workers.
    double const sum = pool.reduce(std::plus<>(), values, 0.0);
    concur::thread_pool another(3);
    double const again = another.reduce({.chunk_size = 7}, std::plus<>(), values, 0.0);
    std::printf("%.3f, %s\n", sum, sum == again ? "to the last bit" : "different");
}

// Output:
// 1 4 9 16 25 36 49 64 81 100
// a bb ccc
// 200.000, to the last bit

// SPDX-License-Identifier: BSL-1.0
// New here: a function that takes any executor. What it computes depends on its input only, never
// on the executor; so start with serial_executor, debug, and change one line. Read
// 08_stop_and_timeouts.cpp next.

#include <concur/concur.hpp>

#include <cstdio>
#include <functional>
#include <random>
#include <stdexcept>
#include <vector>

// How many of so many random points of a square lie in its circle. Each item has its own seed.
int hits(int points) {
    std::mt19937_64 random(concur::this_task::seed());
    std::uniform_real_distribution<double> side(-1, 1);
    int inside = 0;
    for (int i = 0; i < points; ++i) {
        double const x = side(random), y = side(random);
        inside += x * x + y * y <= 1 ? 1 : 0;
    }
    return inside;
}

double estimate_pi(concur::executor auto& ex) {
    std::vector<int> const runs(100, 10'000);
    int const inside = ex.map_reduce({.seed = 42}, hits, std::plus<>(), runs, 0);
    return 4.0 * inside / 1'000'000;
}

int main() {
    concur::serial_executor serial;  // at once, on this thread: for debugging
    std::printf("%.6f\n", estimate_pi(serial));

    concur::thread_pool threads;  // on all CPUs
    std::printf("%.6f\n", estimate_pi(threads));

    // By name, for instance from the command line.
    for (char const* name : {"serial", "threads"}) {
        auto const pi = concur::with_executor(name, {}, [](auto& ex) { return estimate_pi(ex); });
        std::printf("%.6f %s\n", pi, name);
    }
    try {
        using namespace concur;  // a list of classes narrows the choice
        with_executor<serial_executor, thread_pool>("treads", {}, [](auto&) {});
    } catch (std::invalid_argument const& problem) {
        std::printf("%s\n", problem.what());
    }
}

// Output:
// 3.142040
// 3.142040
// 3.142040 serial
// 3.142040 threads
// with_executor: there is no executor named 'treads'; the names are serial, threads

// SPDX-License-Identifier: BSL-1.0
// New here: a function that takes any executor. What it computes depends on its input only, never
// on the executor; so start with serial_executor, debug, and change one line. Read
// 08_stop_and_timeouts.cpp next.

#include <concur/concur.hpp>

#include <cstdio>
#include <functional>
#include <random>
#include <ranges>
#include <stdexcept>

// Points of a square that lie in the circle: a number of them for each item, by its own seed.
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
    int const runs = 100, points = 10'000;
    auto const input =
        std::views::iota(0, runs) | std::views::transform([](int) { return points; });
    int const inside = ex.map_reduce({.seed = 42}, hits, std::plus<>(), input, 0);
    return 4.0 * inside / (runs * points);
}

int main() {
    concur::serial_executor one_by_one;  // at once, on this thread: for debugging
    std::printf("%.6f\n", estimate_pi(one_by_one));

    concur::thread_pool all_cpus;  // on all CPUs
    std::printf("%.6f\n", estimate_pi(all_cpus));

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

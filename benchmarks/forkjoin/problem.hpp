// SPDX-License-Identifier: BSL-1.0
// Tasks that make tasks and wait for them.
#pragma once

#include "../harness.hpp"

#include <cstdint>

namespace forkjoin {

inline constexpr bench::problem fib{"fib", "fib(30), a task per fork, no cut-off", "ns/call"};
inline constexpr bench::problem nested{
    "nested",
    "50 tasks on one worker, each of which submits the next and gets its result",
    "ns/task",
    {},
    true};

/// Calls of a function that computes fib(n) by calling itself.
[[nodiscard]] constexpr std::uint64_t fib_of(unsigned n) {
    std::uint64_t a = 0;
    std::uint64_t b = 1;
    for (; n > 0; --n) {
        std::uint64_t const next = a + b;
        a = b;
        b = next;
    }
    return a;
}
[[nodiscard]] constexpr std::uint64_t calls_of(unsigned n) { return 2 * fib_of(n + 1) - 1; }

/// `compute(n)` gives fib(n) by a task for one call of each pair.
template <class Compute>
void measure_fib(bench::run& r, unsigned n, Compute compute) {
    bench::run::check(compute(10) == 55, "not fib(10)");  // also wakes every worker
    std::uint64_t result = 0;
    r.measure(calls_of(n), [&] { result = compute(n); });
    bench::run::check(result == fib_of(n), "not the Fibonacci number");
}

/// Threads of this process now.
[[nodiscard]] std::size_t threads_now();

}  // namespace forkjoin

// SPDX-License-Identifier: BSL-1.0
// std::async: every fork is a thread, so fib(12), which forks 232 times.
#include "problem.hpp"

#include <future>

namespace {

std::uint64_t compute(unsigned n) {
    if (n < 2) return n;
    auto forked = std::async(std::launch::async, compute, n - 1);
    std::uint64_t const called = compute(n - 2);
    return forked.get() + called;
}

std::uint64_t nest(unsigned depth, std::size_t& threads) {
    if (depth == 0) {
        threads = forkjoin::threads_now();
        return 0;
    }
    return 1 + std::async(std::launch::async, nest, depth - 1, std::ref(threads)).get();
}

void fib(bench::run& r) { forkjoin::measure_fib(r, 12, compute); }

void nested(bench::run& r) {
    std::size_t threads = 0;
    std::uint64_t depth = 0;
    r.measure(50, [&] { depth = nest(50, threads); });
    bench::run::check(depth == 50, "tasks were lost");
    r.counter("threads", static_cast<double>(threads));
}

bench::rival const rival{"std_async", {{forkjoin::fib, fib}, {forkjoin::nested, nested}}};

}  // namespace

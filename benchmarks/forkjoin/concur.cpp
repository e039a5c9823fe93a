// SPDX-License-Identifier: BSL-1.0
// concur::thread_pool: submit one child, call the other, get. The waiting worker runs what it waits
// for.
#include "problem.hpp"

#include <concur/thread_pool.hpp>

namespace {

std::uint64_t compute(concur::thread_pool& pool, unsigned n) {
    if (n < 2) return n;
    auto forked = pool.submit([&pool, n] { return compute(pool, n - 1); });
    std::uint64_t const called = compute(pool, n - 2);
    return forked.get() + called;
}

std::uint64_t nest(concur::thread_pool& pool, unsigned depth, std::size_t& threads) {
    if (depth == 0) {
        threads = forkjoin::threads_now();
        return 0;
    }
    return 1 +
           pool.submit([&pool, depth, &threads] { return nest(pool, depth - 1, threads); }).get();
}

void fib(bench::run& r) {
    concur::thread_pool pool{{.workers = r.workers()}};
    forkjoin::measure_fib(r, static_cast<unsigned>(r.size(30, 22)), [&pool](unsigned n) {
        return pool.submit([&pool, n] { return compute(pool, n); }).get();
    });
}

void nested(bench::run& r) {
    concur::thread_pool pool{{.workers = 1}};
    std::size_t threads = 0;
    std::uint64_t depth = 0;
    r.measure(50, [&] { depth = nest(pool, 50, threads); });
    bench::run::check(depth == 50, "tasks were lost");
    r.counter("threads", static_cast<double>(threads));
}

bench::rival const rival{"concur", {{forkjoin::fib, fib}, {forkjoin::nested, nested}}};

}  // namespace

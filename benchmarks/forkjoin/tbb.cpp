// SPDX-License-Identifier: BSL-1.0
// oneTBB: task_group; one child is forked, the other called.
#include "problem.hpp"

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_group.h>

namespace {

namespace tbb = oneapi::tbb;

std::uint64_t compute(unsigned n) {
    if (n < 2) return n;
    std::uint64_t forked = 0;
    tbb::task_group group;
    group.run([&forked, n] { forked = compute(n - 1); });
    std::uint64_t const called = compute(n - 2);
    group.wait();
    return forked + called;
}

void fib(bench::run& r) {
    tbb::global_control const limit{tbb::global_control::max_allowed_parallelism, r.workers()};
    forkjoin::measure_fib(r, static_cast<unsigned>(r.size(30, 22)), compute);
}

bench::rival const rival{"tbb", {{forkjoin::fib, fib}}};

}  // namespace

// SPDX-License-Identifier: BSL-1.0
// OpenMP tasks and taskwait; one child is forked, the other called.
#include "problem.hpp"

namespace {

std::uint64_t compute(unsigned n) {
    if (n < 2) return n;
    std::uint64_t forked = 0;
#pragma omp task shared(forked) firstprivate(n)
    forked = compute(n - 1);
    std::uint64_t const called = compute(n - 2);
#pragma omp taskwait
    return forked + called;
}

void fib(bench::run& r) {
    int const threads = static_cast<int>(r.workers());
    forkjoin::measure_fib(r, static_cast<unsigned>(r.size(30, 22)), [threads](unsigned n) {
        std::uint64_t result = 0;
#pragma omp parallel num_threads(threads)
#pragma omp single
        result = compute(n);
        return result;
    });
}

bench::rival const rival{"openmp", {{forkjoin::fib, fib}}};

}  // namespace

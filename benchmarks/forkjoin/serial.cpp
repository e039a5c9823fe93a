// SPDX-License-Identifier: BSL-1.0
// The calls alone.
#include "problem.hpp"

namespace {

// Opaque to the optimiser, which else unrolls the recursion several levels deep.
[[gnu::noinline]] std::uint64_t compute(unsigned n) {
    bench::keep(n);
    if (n < 2) return n;
    return compute(n - 1) + compute(n - 2);
}

void fib(bench::run& r) {
    forkjoin::measure_fib(r, static_cast<unsigned>(r.size(30, 22)), compute);
}

bench::rival const rival{"serial", {{forkjoin::fib, fib}}};

}  // namespace

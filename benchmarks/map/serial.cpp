// SPDX-License-Identifier: BSL-1.0
// One thread, plain loops. Not inlined anywhere: a baseline that is compiled twice is two
// baselines.
#include "problem.hpp"

namespace {

[[gnu::noinline]] void hash_all(std::uint32_t* output, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) output[i] = loops::mix32(static_cast<std::uint32_t>(i));
}

[[gnu::noinline]] void add_all(double const* x, double* y, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) y[i] = loops::factor * x[i] + y[i];
}

[[gnu::noinline]] std::size_t count_primes(std::uint32_t limit) {
    std::size_t found = 0;
    for (std::uint32_t i = 0; i < limit; ++i) found += loops::is_prime(i);
    return found;
}

void cheap(bench::run& r) {
    loops::measure_cheap(r, [](auto& output) { hash_all(output.data(), output.size()); });
}

void collect(bench::run& r) {
    loops::measure_collect(r, [](std::size_t n) {
        std::vector<std::uint32_t> output(n);
        hash_all(output.data(), n);
        return output;
    });
}

void axpy(bench::run& r) {
    loops::measure_axpy(r, [](auto const& x, auto& y) { add_all(x.data(), y.data(), y.size()); });
}

void primes(bench::run& r) { loops::measure_primes(r, count_primes); }

bench::rival const rival{"serial",
                         {{loops::cheap, cheap},
                          {loops::collect, collect},
                          {loops::axpy, axpy},
                          {loops::primes, primes}}};

}  // namespace

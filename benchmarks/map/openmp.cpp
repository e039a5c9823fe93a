// SPDX-License-Identifier: BSL-1.0
// OpenMP: parallel for, static chunks; for the uneven primes dynamic ones too.
#include "problem.hpp"

namespace {

// Signed loop variables, local pointers: what libgomp's users write, and what g++ vectorises.
void hash_all(std::uint32_t* output, std::int64_t n, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (std::int64_t i = 0; i < n; ++i) output[i] = loops::mix32(static_cast<std::uint32_t>(i));
}

void add_all(double const* x, double* y, std::int64_t n, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (std::int64_t i = 0; i < n; ++i) y[i] = loops::factor * x[i] + y[i];
}

std::size_t count_static(std::uint32_t limit, int threads) {
    std::size_t found = 0;
#pragma omp parallel for schedule(static) num_threads(threads) reduction(+ : found)
    for (std::uint32_t i = 0; i < limit; ++i) found += loops::is_prime(i);
    return found;
}

std::size_t count_dynamic(std::uint32_t limit, int threads) {
    std::size_t found = 0;
#pragma omp parallel for schedule(dynamic, 2048) num_threads(threads) reduction(+ : found)
    for (std::uint32_t i = 0; i < limit; ++i) found += loops::is_prime(i);
    return found;
}

int threads_of(bench::run const& r) { return static_cast<int>(r.workers()); }

void cheap(bench::run& r) {
    loops::measure_cheap(r, [threads = threads_of(r)](auto& output) {
        hash_all(output.data(), static_cast<std::int64_t>(output.size()), threads);
    });
}

void collect(bench::run& r) {
    loops::measure_collect(r, [threads = threads_of(r)](std::size_t n) {
        std::vector<std::uint32_t> output(n);
        hash_all(output.data(), static_cast<std::int64_t>(n), threads);
        return output;
    });
}

void axpy(bench::run& r) {
    loops::measure_axpy(r, [threads = threads_of(r)](auto const& x, auto& y) {
        add_all(x.data(), y.data(), static_cast<std::int64_t>(y.size()), threads);
    });
}

void primes(bench::run& r) {
    loops::measure_primes(
        r, [threads = threads_of(r)](std::uint32_t limit) { return count_static(limit, threads); });
}

void primes_dynamic(bench::run& r) {
    loops::measure_primes(r, [threads = threads_of(r)](std::uint32_t limit) {
        return count_dynamic(limit, threads);
    });
}

bench::rival const rival{"openmp",
                         {{loops::cheap, cheap},
                          {loops::collect, collect},
                          {loops::axpy, axpy},
                          {loops::primes, primes}}};
bench::rival const dynamic{"openmp-dynamic", {{loops::primes, primes_dynamic}}};

}  // namespace

// SPDX-License-Identifier: BSL-1.0
#include "problem.hpp"

#include <algorithm>

namespace loops {

std::vector<std::uint32_t>& zeroed_output(std::size_t n) {
    static std::vector<std::uint32_t> output;
    output.assign(n, 0);
    return output;
}

void check_hashes(std::vector<std::uint32_t> const& output) {
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < output.size(); ++i)
        wrong += output[i] != mix32(static_cast<std::uint32_t>(i));
    bench::run::check(wrong == 0, "wrong hashes");
}

vectors& axpy_vectors(std::size_t n) {
    static vectors data;
    if (data.x.size() != n) {
        data.x.resize(n);
        data.y.assign(n, 1);
        data.applied = 0;
        for (std::size_t i = 0; i < n; ++i) data.x[i] = static_cast<double>(i % 1021);
    }
    return data;
}

void check_axpy(vectors const& data) {
    double const times = factor * static_cast<double>(data.applied);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < data.x.size(); ++i) wrong += data.y[i] != 1 + times * data.x[i];
    bench::run::check(wrong == 0, "wrong sums");
}

bool is_prime(std::uint32_t n) {
    if (n < 2) return false;
    if (n % 2 == 0) return n == 2;
    for (std::uint32_t d = 3; std::uint64_t{d} * d <= n; d += 2)
        if (n % d == 0) return false;
    return true;
}

namespace {

using kind = bench::bar::kind;

bench::bars const required{
    {cheap, kind::time_ratio, 1.1, {"openmp"}},
    {axpy, kind::time_ratio, 1.05, {"openmp"}},
    {primes, kind::speed_up_per_worker, 0.95},
};

}  // namespace
}  // namespace loops

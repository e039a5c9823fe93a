// SPDX-License-Identifier: BSL-1.0
// Loops: cheap items that must vectorise, memory-bound items, and items of uneven cost.
#pragma once

#include "../harness.hpp"

#include <cstdint>
#include <vector>

namespace loops {

inline constexpr bench::problem cheap{"cheap", "10,000,000 integer hashes written to an array",
                                      "ns/item"};
inline constexpr bench::problem collect{
    "collect", "10,000,000 integer hashes collected into a new vector", "ns/item"};
inline constexpr bench::problem axpy{"axpy", "y = a * x + y over 100,000,000 doubles", "ns/item"};
inline constexpr bench::problem primes{
    "primes", "primes up to 10,000,000 by trial division, one number per item", "ns/item"};

// ---- cheap, collect

/// A full mix of 32 bits: a handful of instructions that g++ vectorises when the loop around it
/// allows that.
inline constexpr std::uint32_t mix32(std::uint32_t x) {
    x ^= x >> 16;
    x *= 0x7feb352dU;
    x ^= x >> 15;
    x *= 0x846ca68bU;
    return x ^ (x >> 16);
}

/// One loop is over in a few milliseconds: several of them make one repetition.
inline constexpr std::size_t rounds = 10;

/// Room for the hashes of 0 ... n-1, made once and zeroed again at each call.
std::vector<std::uint32_t>& zeroed_output(std::size_t n);
void check_hashes(std::vector<std::uint32_t> const& output);

/// `loop(output)` hashes 0 ... size-1 into output.
template <class Loop>
void measure_cheap(bench::run& r, Loop loop) {
    auto& output = zeroed_output(r.size(10'000'000, 1'000'000));
    loop(output);  // wakes every worker
    zeroed_output(output.size());
    r.measure(output.size() * rounds, [&] {
        for (std::size_t i = 0; i < rounds; ++i) loop(output);
    });
    check_hashes(output);
}

/// `make(n)` gives a new vector of the hashes of 0 ... n-1.
template <class Make>
void measure_collect(bench::run& r, Make make) {
    auto const n = r.size(10'000'000, 1'000'000);
    std::vector<std::uint32_t> output = make(n / 10);  // wakes every worker
    output = {};
    r.measure(n, [&] { output = make(n); });
    bench::run::check(output.size() == n, "the result has another size");
    check_hashes(output);
}

// ---- axpy

inline constexpr double factor = 3;

struct vectors {
    std::vector<double> x;
    std::vector<double> y;
    std::size_t applied = 0;  // how many times factor * x has been added to y
};

/// Small integers in doubles: every sum is exact. Made once, shared by all rivals: 1.6 GB.
vectors& axpy_vectors(std::size_t n);
void check_axpy(vectors const& data);

/// `loop(x, y)` adds factor * x to y.
template <class Loop>
void measure_axpy(bench::run& r, Loop loop) {
    auto& data = axpy_vectors(r.size(100'000'000, 10'000'000));
    r.measure(data.x.size(), [&] { loop(data.x, data.y); });
    ++data.applied;
    check_axpy(data);
}

// ---- primes

/// Compiled once, for the serial baseline and all rivals alike.
[[gnu::noinline]] bool is_prime(std::uint32_t n);

/// `count(limit)` gives the number of primes in 0 ... limit-1.
template <class Count>
void measure_primes(bench::run& r, Count count) {
    auto const limit = static_cast<std::uint32_t>(r.size(10'000'000, 1'000'000));
    bench::run::check(count(1000) == 168,
                      "not the number of primes below 1000");  // also wakes every worker
    std::size_t found = 0;
    r.measure(limit, [&] { found = count(limit); });
    bench::run::check(found == (limit == 10'000'000 ? 664'579U : 78'498U),
                      "not the number of primes");
}

}  // namespace loops

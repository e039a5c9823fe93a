// SPDX-License-Identifier: BSL-1.0
// Random delays at scheduling points, for tests: built with CONCUR_CHAOS=seed, every chaos_point()
// now and then yields or spins, so that rare interleavings become common. Otherwise it is nothing.
#pragma once

#include <atomic>

#include <concur/detail/base/config.hpp>
#include <concur/detail/base/linux.hpp>

namespace concur::inline v0::detail {

CONCUR_API inline std::atomic<std::uint64_t> chaos_threads{0};

/// A mixing step of SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number
/// Generators", 2014).
constexpr std::uint64_t mix64(std::uint64_t x) noexcept {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

inline void chaos_point() noexcept {
    if constexpr (chaos_seed != 0) {
        thread_local std::uint64_t state =
            mix64(chaos_seed + chaos_threads.fetch_add(1, std::memory_order_relaxed));  // [chaos]
        state = mix64(state);
        if (state % 16 == 0) yield_thread();
        if (state % 64 == 1) {
            for (auto spin = state >> 52; spin > 0; --spin) cpu_relax();
        }
    }
}

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// The only header that looks at the compiler or at build options.
// No option here may change the layout of a class: two translation units that disagree must still
// fit together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>  // brings the clocks and durations of <chrono>, which costs 4,000 lines more

#include <concur/version.hpp>

// State and exception types that must be one per program, also with -fvisibility=hidden and several
// shared libraries.
#define CONCUR_API __attribute__((visibility("default")))

// Whether dynamic types can be asked for: thread_pool.hpp must also compile without.
#if defined(__cpp_rtti)
#define CONCUR_RTTI 1
#else
#define CONCUR_RTTI 0
#endif

namespace concur::inline v0 {

/// Every time span of the interface: write 500ms, 2s.
using duration = std::chrono::nanoseconds;

namespace detail {

using steady_clock = std::chrono::steady_clock;
using time_point = steady_clock::time_point;

inline constexpr std::size_t cache_line = 64;

// AddressSanitizer can only see a use after free when the memory really goes back.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool recycle_nodes = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool recycle_nodes = false;
#else
inline constexpr bool recycle_nodes = true;
#endif
#else
inline constexpr bool recycle_nodes = true;
#endif

#if defined(CONCUR_CHAOS)
inline constexpr std::uint64_t chaos_seed = CONCUR_CHAOS;
#else
inline constexpr std::uint64_t chaos_seed = 0;
#endif

/// Tells the core that this thread only polls, so that its sibling gets the execution units.
inline void cpu_relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield" ::: "memory");
#endif
}

/// `now + span` that saturates instead of overflowing; negative spans mean "now".
inline time_point deadline_after(duration span) noexcept {
    auto const now = steady_clock::now();
    if (span <= duration::zero()) return now;
    return span >= time_point::max() - now ? time_point::max() : now + span;
}

}  // namespace detail
}  // namespace concur::inline v0

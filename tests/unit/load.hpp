// SPDX-License-Identifier: BSL-1.0
// How much a stress test does: less where every step is dearer, so that each build takes about as
// long.
#pragma once

#include <concur/detail/base/config.hpp>

#include <cstddef>

namespace unit {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
#else
inline constexpr bool sanitized = false;
#endif

inline constexpr bool chaotic = concur::detail::chaos_seed != 0;

/// So many rounds in a plain build, fewer in the others.
constexpr std::size_t load(std::size_t rounds) {
    if (chaotic) return rounds / 40;
    return sanitized ? rounds / 10 : rounds;
}

}  // namespace unit

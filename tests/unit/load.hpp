// SPDX-License-Identifier: BSL-1.0
// How much a stress test does: less where every step is dearer, so that each build takes about as
// long.
#pragma once

#include "../sanitizers.hpp"

#include <concur/detail/base/config.hpp>

#include <cstddef>

namespace unit {

using tests::sanitized;
inline constexpr bool chaotic = concur::detail::chaos_seed != 0;

/// So many rounds in a plain build, fewer in the others.
constexpr std::size_t load(std::size_t rounds) {
    if (chaotic) return rounds / 40;
    return sanitized ? rounds / 10 : rounds;
}

}  // namespace unit

// SPDX-License-Identifier: BSL-1.0
// Which sanitizers a test runs under, asked of either compiler.
#pragma once

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CONCUR_TESTS_UNDER_ASAN
#endif
#if __has_feature(thread_sanitizer)
#define CONCUR_TESTS_UNDER_TSAN
#endif
#endif

namespace tests {

#if defined(__SANITIZE_ADDRESS__) || defined(CONCUR_TESTS_UNDER_ASAN)
inline constexpr bool under_asan = true;
#else
inline constexpr bool under_asan = false;
#endif
#if defined(__SANITIZE_THREAD__) || defined(CONCUR_TESTS_UNDER_TSAN)
inline constexpr bool under_tsan = true;
#else
inline constexpr bool under_tsan = false;
#endif
inline constexpr bool sanitized = under_asan || under_tsan;

}  // namespace tests

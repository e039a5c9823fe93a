// SPDX-License-Identifier: BSL-1.0
// Sentences with values in them, for exceptions. (Each chain of std::string's + would cost every
// user's build more than all of this.)
#pragma once

#include <cstdarg>
#include <cstdio>
#include <string>

#include <concur/detail/base/config.hpp>

namespace concur::inline v0::detail {

/// Like printf, as a string; cut after 1000 characters. Throws std::bad_alloc.
[[gnu::cold, gnu::noinline, gnu::format(printf, 1, 2)]] inline std::string text(char const* format,
                                                                                ...) {
    char line[1001];
    std::va_list values;
    va_start(values, format);
    std::vsnprintf(line, sizeof line, format, values);
    va_end(values);
    return line;
}

/// For "%g s".
inline double in_seconds(duration span) noexcept {
    return std::chrono::duration<double>(span).count();
}

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// Fields of exceptions that are no numbers, enums or std::string: they cross by the codec.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include <concur/codec.hpp>
#include <concur/detail/base/fields.hpp>

namespace concur::inline v0::detail {

template <class T>
struct field_codec {
    static std::string write(T const& field) {
        auto const bytes = encode(field);
        return std::string(reinterpret_cast<char const*>(bytes.data()), bytes.size());
    }
    static T read(std::string_view bytes) {
        return decode<T>(std::as_bytes(std::span(bytes.data(), bytes.size())));
    }
};

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// The fields of an exception as bytes and back, for its member serialize: numbers, enums and
// std::string by themselves, other fields by the codec. The bytes are those in memory, for both
// sides are the same program. (They stand in a std::string, which costs a user's build nothing.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace concur::inline v0::detail {

/// How a field of any other type becomes bytes: `static std::string write(T const&)` and
/// `static T read(std::string_view)`. Defined once, behind the codec. Without it such a program
/// does not compile; it never compiles to something else.
template <class T>
struct field_codec;

template <class T>
constexpr bool check_field() {
    constexpr bool carried = requires { sizeof(field_codec<T>); };
    static_assert(carried,
                  "register_exception<E>(): serialize names a field that is no number, enum or "
                  "std::string; include <concur/process_pool.hpp>, whose codec carries others");
    return carried;
}

/// What serialize gets in order to write. Throws std::bad_alloc, and what the codec throws.
class field_writer {
public:
    template <class... T>
    void operator()(T const&... fields) {
        (put(fields), ...);
    }

    std::string const& bytes() const noexcept { return bytes_; }

private:
    void append(void const* from, std::size_t size) {
        bytes_.append(static_cast<char const*>(from), size);
    }

    void put(std::string const& field) {
        put(std::uint64_t(field.size()));
        append(field.data(), field.size());
    }

    template <class T>
    void put(T const& field) {
        if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
            append(&field, sizeof field);
        } else if constexpr (check_field<T>()) {
            put(field_codec<T>::write(field));
        }
    }

    std::string bytes_;
};

/// What serialize gets in order to read. Bytes that are missing or no value of their field make it
/// bad() for good, and the fields from there on stay as they are: whoever started it looks at the
/// end. Throws std::bad_alloc, and what the codec throws.
class field_reader {
public:
    explicit field_reader(std::string_view bytes) noexcept : left_(bytes) {}

    template <class... T>
    void operator()(T&... fields) {
        (get(fields), ...);
    }

    bool bad() const noexcept { return bad_; }
    bool at_end() const noexcept { return !bad_ && left_.empty(); }

private:
    std::string_view take(std::uint64_t size) noexcept {
        if (bad_ || size > left_.size()) {
            bad_ = true;
            return {};
        }
        std::string_view const taken(left_.data(), static_cast<std::size_t>(size));
        left_.remove_prefix(taken.size());
        return taken;
    }

    std::string_view block() noexcept {
        std::uint64_t size = 0;
        get(size);
        return take(size);
    }

    void get(std::string& field) {
        auto const from = block();
        if (!bad_) field.assign(from.data(), from.size());
    }

    void get(bool& field) noexcept {
        unsigned char value = 0;
        get(value);
        if (value > 1) bad_ = true;
        if (!bad_) field = value == 1;
    }

    template <class T>
    void get(T& field) {
        if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
            auto const from = take(sizeof field);
            if (!bad_) std::memcpy(&field, from.data(), sizeof field);
        } else if constexpr (check_field<T>()) {
            auto const from = block();
            if (!bad_) field = field_codec<T>::read(from);
        }
    }

    std::string_view left_;
    bool bad_ = false;
};

}  // namespace concur::inline v0::detail

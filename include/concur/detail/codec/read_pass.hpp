// SPDX-License-Identifier: BSL-1.0
// The pass that makes values of the bytes in a frame. They are not trusted: lengths are held
// against the bytes that are left before memory is asked for, so that a message costs memory in
// proportion to its own size, whatever it says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

#include <concur/detail/base/text.hpp>
#include <concur/detail/codec/archive.hpp>
#include <concur/detail/codec/check.hpp>
#include <concur/detail/codec/traits.hpp>
#include <concur/detail/ipc/modules.hpp>
#include <concur/error.hpp>

namespace concur::inline v0::detail {

/// Reads a frame. The frame may stand anywhere; at a 64-byte boundary, arrays are copied fastest.
class read_pass {
public:
    using is_loading = std::true_type;
    using is_saving = std::false_type;

    read_pass(std::byte const* frame, std::size_t bytes) noexcept : frame_(frame), bytes_(bytes) {}

    /// The next value. Throws codec_error when the bytes are none of T, std::bad_alloc, and what a
    /// serialize or a constructor throws.
    template <class T>
    T get() {
        if constexpr (check_crosses<T>()) return read<std::remove_cv_t<T>>();
    }

    /// The next values, into objects that exist: what a serialize calls.
    template <class... T>
    void operator()(T&... values) {
        (check_and_fill(values), ...);
    }

    /// Throws codec_error when something is left.
    void require_end() const {
        if (position_ != bytes_) throw_left_over();
    }

    std::size_t position() const noexcept { return position_; }

private:
    friend raw_access;

    template <class T>
    void check_and_fill(T& value) {
        if constexpr (check_crosses<T>()) fill(value);
    }

    template <class T>
    void fill(T& value) {
        if constexpr (std::is_array_v<T>) {
            if constexpr (wire_of<T> == wire::bytes) {
                std::memcpy(&value, take(sizeof(T), wire_align<T>), sizeof(T));
                require_bools(value);
            } else {
                for (auto& each : value) fill(each);
            }
        } else {
            value = read<T>();
        }
    }

    template <class T>
    T read() {
        constexpr wire kind = wire_of<T>;
        if constexpr (kind == wire::bytes) {
            return read_bytes<T>();
        } else if constexpr (kind == wire::member || kind == wire::free) {
            wire_level const level(levels_);
            T value = access::make<T>();
            if constexpr (kind == wire::member) {
                access::serialize(*this, value);
            } else {
                concur_serialize(*this, value);
            }
            return value;
        } else if constexpr (kind == wire::code) {
            return reinterpret_cast<T>(const_cast<void*>(read_code()));
        } else if constexpr (kind == wire::elements) {
            return read_elements<T>(std::make_index_sequence<std::tuple_size_v<T>>{});
        } else if constexpr (kind == wire::bits) {
            return read_bits<T>();
        } else if constexpr (kind == wire::sequence || kind == wire::keyed) {
            return read_sequence<T>();
        } else if constexpr (kind == wire::optional) {
            T value;
            if (read_flag()) value.emplace(read<std::remove_cv_t<typename T::value_type>>());
            return value;
        } else if constexpr (kind == wire::variant) {
            return read_variant<T, 0>(read_number<std::uint32_t>(), parts_of<T>{});
        } else if constexpr (kind == wire::owner) {
            using value = typename T::element_type;
            if (!read_flag()) return nullptr;
            wire_level const level(levels_);
            return T(new value(read<std::remove_cv_t<value>>()));
        } else {
            return read_parts<T>(parts_of<T>{});
        }
    }

    template <class T>
    T read_bytes() {
        if constexpr (std::is_class_v<T> && plain_size<T> != 0 &&
                      std::is_trivially_default_constructible_v<T>) {
            T value;  // straight to where the caller wants it
            std::memcpy(static_cast<void*>(&value), take(sizeof(T), wire_align<T>), sizeof(T));
            require_bools(value);
            return value;
        } else {
            return read_image<T>();
        }
    }

    /// By way of raw memory: a closure has no default, and a bool that is none must not even be
    /// copied.
    template <class T>
    T read_image() {
        alignas(T) std::byte room[sizeof(T)];
        if constexpr (plain_size<T> != 0) {
            std::memcpy(room, take(sizeof(T), wire_align<T>), sizeof(T));
        } else {
            std::memset(room, 0, sizeof(T));
        }
        if (std::is_scalar_v<T> && holds_bool<T>() && std::to_integer<unsigned>(room[0]) > 1) {
            throw_bad_bool();
        }
        auto& value = *std::launder(reinterpret_cast<T*>(room));
        require_bools(value);
        return std::move(value);
    }

    template <class T>
    T read_number() {
        T number;
        std::memcpy(&number, take(sizeof number, alignof(T)), sizeof number);
        return number;
    }

    bool read_flag() {
        auto const flag = read_number<unsigned char>();
        if (flag > 1) throw_bad("a flag is neither 0 nor 1");
        return flag == 1;
    }

    [[gnu::noinline]] void const* read_code() {
        auto const module = read_number<std::uint64_t>();
        auto const offset = read_number<std::uint64_t>();
        if (module == 0 && offset == 0) return nullptr;
        auto const* const code = find_code({module, offset});
        if (!code)
            throw_bad(
                "a function's library is not loaded in this process, or is another build there");
        return code;
    }

    /// In braces, which are evaluated from left to right: no part needs a default.
    template <class T, class... P>
    T read_parts(type_list<P...>) {
        if constexpr ((std::is_array_v<P> || ...)) {
            T value{};
            each_part(value, [this](auto& part) { this->fill(part); });
            return value;
        } else {
            return T{read<std::remove_cv_t<P>>()...};
        }
    }

    template <class T, std::size_t... I>
    T read_elements(std::index_sequence<I...>) {
        using element = typename T::value_type;
        if constexpr (std::is_default_constructible_v<T> && std::is_move_assignable_v<element>) {
            T value;
            for (auto& each : value) each = read<element>();
            return value;
        } else {
            return T{{(static_cast<void>(I), read<std::remove_cv_t<element>>())...}};
        }
    }

    template <class V, std::size_t I, class First, class... Rest>
    V read_variant(std::uint32_t index, type_list<First, Rest...>) {
        if (index == I) return V(std::in_place_index<I>, read<std::remove_cv_t<First>>());
        if constexpr (sizeof...(Rest) != 0) {
            return read_variant<V, I + 1>(index, type_list<Rest...>{});
        } else {
            throw_bad("a variant has no such alternative");
        }
    }

    template <class C>
    C read_bits() {
        auto const bits = read_number<std::uint64_t>();
        if (bits / 8 > unclaimed()) throw_length(bits);
        auto const* const from = take(bits / 8 + (bits % 8 != 0), 1);
        C values;
        values.reserve(bits);
        for (std::size_t i = 0; i != bits; ++i) {
            values.push_back((std::to_integer<unsigned>(from[i / 8]) >> i % 8 & 1u) != 0);
        }
        return values;
    }

    template <class C>
    C read_sequence() {
        using element = typename read_element<typename C::value_type>::type;
        constexpr std::size_t least = least_size<element>() != 0 ? least_size<element>() : 1;
        auto const length = read_number<std::uint64_t>();
        if (length > unclaimed() / least) throw_length(length);
        auto const count = static_cast<std::size_t>(length);
        if constexpr (contiguous_shape<C> && wire_of<element> == wire::bytes &&
                      plain_size<element> != 0) {
            auto const* const from = take(count * sizeof(element), wire_align<element>);
            if (reinterpret_cast<std::uintptr_t>(from) % alignof(element) == 0) {
                auto const* const first = reinterpret_cast<element const*>(from);
                if constexpr (holds_bool<element>()) {
                    for (std::size_t i = 0; i != count; ++i) require_bools(first[i]);
                }
                return count == 0 ? C() : C(first, first + count);
            }
            position_ -= count * sizeof(element);  // an unaligned frame: one by one
        }
        return read_one_by_one<C, element, least>(count);
    }

    template <class C, class Element, std::size_t Least>
    C read_one_by_one(std::size_t count) {
        wire_level const level(levels_);
        C values;
        if constexpr (requires { values.reserve(count); }) values.reserve(count);
        // The elements to come keep their bytes: nested lengths cannot claim them once more.
        promised_ += count * Least;
        for (std::size_t i = 0; i != count; ++i) {
            promised_ -= Least;
            auto const before = position_;
            if constexpr (wire_of<C> == wire::keyed) {
                values.insert(values.end(), read<Element>());
            } else {
                values.push_back(read<Element>());
            }
            if (least_size<Element>() == 0 && position_ == before) {
                if (read_number<unsigned char>() != 0) throw_bad("a filling byte is not 0");
            }
        }
        if (static_cast<std::size_t>(values.size()) != count) throw_bad("a key is there twice");
        return values;
    }

    /// Looks at the bytes of each bool in a value that was copied from a message, without using
    /// them as bools.
    template <class T>
    void require_bools(T const& value) {
        if constexpr (!holds_bool<T>()) {
        } else if constexpr (std::is_array_v<T> || is_array_class<T>) {
            for (auto const& each : value) require_bools(each);
        } else if constexpr (std::is_class_v<T>) {
            aggregate_fields<T>::visit(
                value, [this](auto const&... field) { (this->require_bools(field), ...); });
        } else {
            unsigned char byte;
            std::memcpy(&byte, &value, 1);
            if (byte > 1) throw_bad_bool();
        }
    }

    /// Bytes that a length read now may stand for.
    std::size_t unclaimed() const noexcept {
        auto const left = bytes_ - position_;
        return left > promised_ ? left - promised_ : 0;
    }

    std::byte const* take(std::size_t bytes, std::size_t alignment) {
        if (bytes == 0) return frame_;
        auto const begin = align_up(position_, alignment);
        if (begin > bytes_ || bytes > bytes_ - begin) throw_short(bytes);
        position_ = begin + bytes;
        return frame_ + begin;
    }

    [[gnu::cold, gnu::noinline, noreturn]] void throw_short(std::size_t wanted) const {
        throw codec_error(text("%zu bytes are needed at byte %zu of a message of %zu", wanted,
                               position_, bytes_));
    }
    [[gnu::cold, gnu::noinline, noreturn]] void throw_length(std::uint64_t length) const {
        throw codec_error(text("%llu elements are announced at byte %zu of a message of %zu",
                               static_cast<unsigned long long>(length), position_, bytes_));
    }
    [[gnu::cold, gnu::noinline, noreturn]] void throw_bad(char const* what) const {
        throw codec_error(text("%s, before byte %zu of a message of %zu", what, position_, bytes_));
    }
    [[noreturn]] void throw_bad_bool() const { throw_bad("a bool is neither 0 nor 1"); }
    [[gnu::cold, gnu::noinline, noreturn]] void throw_left_over() const {
        throw codec_error(
            text("a message of %zu bytes has a value of %zu bytes in it", bytes_, position_));
    }

    std::byte const* frame_;
    std::size_t bytes_;
    std::size_t position_ = 0;
    std::size_t promised_ = 0;  // bytes that elements to come of enclosing containers need
    std::size_t levels_ = 0;
};

}  // namespace concur::inline v0::detail

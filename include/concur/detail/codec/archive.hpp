// SPDX-License-Identifier: BSL-1.0
// The passes over values that are sent: how many bytes, then write them. A frame holds several
// values one behind the other; each keeps its alignment up to 64, counted from the frame's first
// byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include <concur/detail/base/text.hpp>
#include <concur/detail/codec/check.hpp>
#include <concur/detail/codec/traits.hpp>
#include <concur/detail/ipc/modules.hpp>
#include <concur/error.hpp>

namespace concur::inline v0::detail {

// A level takes about 1 KiB of stack with optimisation and 4 without (measured on both compilers),
// and threads may have 8 MiB or, made by others, less. Python's limit is the same thousand.
inline constexpr std::size_t most_levels = 1000;

[[gnu::cold, gnu::noinline]] inline void throw_too_deep() {
    throw codec_error(
        text("a value is nested more than %zu levels deep (lists linked by unique_ptr "
             "are: send a vector)",
             most_levels));
}

/// One level of what may hold itself: containers, unique_ptr, classes with serialize.
class wire_level {
public:
    explicit wire_level(std::size_t& levels) : levels_(levels) {
        if (levels_ == most_levels) throw_too_deep();
        ++levels_;
    }
    ~wire_level() { --levels_; }
    wire_level(wire_level const&) = delete;
    wire_level& operator=(wire_level const&) = delete;

private:
    std::size_t& levels_;
};

/// Calls use(part) for each part of a pair, tuple or struct, in order.
template <class T, class Use>
void each_part(T& object, Use use) {
    if constexpr (wire_of<std::remove_const_t<T>> == wire::product) {
        std::apply([&](auto&... part) { (use(part), ...); }, object);
    } else {
        aggregate_fields<std::remove_const_t<T>>::visit(object,
                                                        [&](auto&... part) { (use(part), ...); });
    }
}

/// What both passes over values that exist have in common; Pass brings raw(), position(), filler().
template <class Pass>
class output_pass {
public:
    using is_loading = std::false_type;
    using is_saving = std::true_type;

    /// The values, one behind the other. Throws codec_error: nested too deeply, a variant without
    /// a value, a function of no module; and what a serialize throws.
    template <class... T>
    void operator()(T const&... values) {
        (check_and_put(values), ...);
    }

private:
    Pass& self() noexcept { return static_cast<Pass&>(*this); }

    template <class T>
    void check_and_put(T const& value) {
        if constexpr (check_crosses<T>()) put(value);
    }

    template <class T>
    void put_number(T number) {
        self().raw(&number, sizeof number, alignof(T));
    }

    template <class T>
    void put(T const& value) {
        constexpr wire kind = wire_of<T>;
        if constexpr (kind == wire::bytes) {
            if constexpr (plain_size<T> != 0) self().raw(&value, sizeof(T), wire_align<T>);
        } else if constexpr (kind == wire::member) {
            wire_level const level(levels_);
            access::serialize(self(), const_cast<T&>(value));  // one function for both ways
        } else if constexpr (kind == wire::free) {
            wire_level const level(levels_);
            concur_serialize(self(), const_cast<T&>(value));
        } else if constexpr (kind == wire::code) {
            auto const at =
                value ? locate_code(reinterpret_cast<void const*>(value)) : code_address{0, 0};
            put_number(at.module);
            put_number(at.offset);
        } else if constexpr (kind == wire::elements) {
            for (auto const& each : value) put(each);
        } else if constexpr (kind == wire::bits) {
            put_bits(value);
        } else if constexpr (kind == wire::sequence || kind == wire::keyed) {
            put_sequence(value);
        } else if constexpr (kind == wire::optional) {
            put_number(static_cast<unsigned char>(value.has_value()));
            if (value.has_value()) put(*value);
        } else if constexpr (kind == wire::variant) {
            put_variant(value, std::make_index_sequence<parts_of<T>::size>{});
        } else if constexpr (kind == wire::owner) {
            put_number(static_cast<unsigned char>(value != nullptr));
            if (!value) return;
            wire_level const level(levels_);
            put(std::as_const(*value));
        } else {
            each_part(value, [this](auto const& part) { this->put(part); });
        }
    }

    template <class C>
    void put_bits(C const& bits) {
        put_number(static_cast<std::uint64_t>(bits.size()));
        unsigned char byte = 0;
        for (std::size_t i = 0; i != bits.size(); ++i) {
            byte = static_cast<unsigned char>(byte | (bits[i] ? 1u << i % 8 : 0u));
            if (i % 8 == 7 || i + 1 == bits.size()) {
                put_number(byte);
                byte = 0;
            }
        }
    }

    template <class C>
    void put_sequence(C const& values) {
        using element = typename read_element<typename C::value_type>::type;
        put_number(static_cast<std::uint64_t>(values.size()));
        if constexpr (contiguous_shape<C> && wire_of<element> == wire::bytes &&
                      plain_size<element> != 0) {
            self().raw(values.data(), values.size() * sizeof(element), wire_align<element>);
        } else {
            wire_level const level(levels_);
            for (auto const& each : values) {
                auto const before = self().position();
                put_element<element>(each);
                // At least a byte each: or a length could not be held against anything.
                if (least_size<element>() == 0 && self().position() == before) {
                    put_number(static_cast<unsigned char>(0));
                }
            }
        }
    }

    /// `Element`: pair<K, V>, where the container holds pair<const K, V>.
    template <class Element, class T>
    void put_element(T const& each) {
        if constexpr (std::is_same_v<Element, T>) {
            put(each);
        } else {
            put(each.first);
            put(each.second);
        }
    }

    template <class V, std::size_t... I>
    void put_variant(V const& value, std::index_sequence<I...>) {
        using std::get;
        if (value.valueless_by_exception()) {
            throw codec_error("a variant that lost its value in an exception cannot be sent");
        }
        put_number(static_cast<std::uint32_t>(value.index()));
        ((value.index() == I ? put(get<I>(value)) : void()), ...);
    }

    std::size_t levels_ = 0;
};

struct raw_access;  // of concur/cereal.hpp

/// Counts the bytes that write_pass will write.
class size_pass : public output_pass<size_pass> {
public:
    std::size_t bytes() const noexcept { return position_; }

private:
    friend output_pass<size_pass>;
    friend raw_access;
    std::size_t position() const noexcept { return position_; }
    void raw(void const*, std::size_t bytes, std::size_t alignment) noexcept {
        if (bytes != 0) position_ = align_up(position_, alignment) + bytes;
    }

    std::size_t position_ = 0;
};

/// Writes to a frame; gaps are zeroed. Throws codec_error rather than write behind the frame's end:
/// another thread may change a value between the passes.
class write_pass : public output_pass<write_pass> {
public:
    explicit write_pass(std::byte* frame, std::size_t capacity) noexcept
        : frame_(frame), capacity_(capacity) {}

    std::size_t bytes() const noexcept { return position_; }

private:
    friend output_pass<write_pass>;
    friend raw_access;
    std::size_t position() const noexcept { return position_; }

    // Inlined, the size is mostly a constant: then this is a compare and a move.
    [[gnu::always_inline]] void raw(void const* from, std::size_t bytes, std::size_t alignment) {
        if (bytes == 0) return;  // memcpy wants no null pointers, not even for nothing
        auto const begin = align_up(position_, alignment);
        if (begin > capacity_ || bytes > capacity_ - begin) throw_full();
        if (begin != position_) std::memset(frame_ + position_, 0, begin - position_);
        std::memcpy(frame_ + begin, from, bytes);
        position_ = begin + bytes;
    }

    [[gnu::cold, gnu::noinline, noreturn]] void throw_full() const {
        throw codec_error(
            text("a value does not fit into its frame of %zu bytes: it was changed "
                 "while it was being written",
                 capacity_));
    }

    std::byte* frame_;
    std::size_t capacity_;
    std::size_t position_ = 0;
};

}  // namespace concur::inline v0::detail

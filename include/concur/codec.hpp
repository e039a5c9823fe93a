// SPDX-License-Identifier: BSL-1.0
// How a value crosses a process border, and how to teach that a type. In this order:
//
//   1. a member  template <class A> void serialize(A& ar) { ar(x, y); }  (may be private, with
//      friend class concur::access;), one function for both ways: A::is_loading tells which
//   2. a free function  concur_serialize(ar, T&)  in T's namespace
//   3. trivially copyable types without addresses, by their bytes
//   4. std containers, string, optional, variant, pair, tuple, array, unique_ptr, chrono
//   5. aggregates up to 64 members, member by member, with no line from the user
//   6. function pointers, as module and offset
//
// Anything else does not compile, and the message says what to do. What a trivially copyable class
// keeps in private is not seen: a pointer in there travels as a number. Both sides must be the same
// program. Serialized bytes are no file format.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include <concur/detail/codec/archive.hpp>
#include <concur/detail/codec/callable.hpp>
#include <concur/detail/codec/check.hpp>
#include <concur/detail/codec/read_pass.hpp>
#include <concur/detail/codec/traits.hpp>

namespace concur::inline v0 {

/// A value as bytes.
///
/// Throws   codec_error when it is nested more than 1000 levels deep, or a variant in it has no
///          value; std::bad_alloc; what a serialize throws.
template <class T>
std::vector<std::byte> encode(T const& value) {
    std::vector<std::byte> frame;
    if constexpr (detail::check_crosses<T>()) {
        detail::size_pass size;
        size(value);
        frame.resize(size.bytes());
        detail::write_pass write(frame.data(), frame.size());
        write(value);
    }
    return frame;
}

/// The value of such bytes, which must be all of them. Bytes that are not from encode() give an
/// exception or another value, and cost memory in proportion to their number.
///
/// Throws   codec_error; std::bad_alloc; what a serialize or a constructor throws.
template <class T>
T decode(std::span<std::byte const> bytes) {
    if constexpr (detail::check_crosses<T>()) {
        detail::read_pass read(bytes.data(), bytes.size());
        T value = read.get<T>();
        read.require_end();
        return value;
    }
}

}  // namespace concur::inline v0

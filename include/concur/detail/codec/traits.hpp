// SPDX-License-Identifier: BSL-1.0
// How a type becomes bytes, decided at compile time: by the user's function, by its bytes, as a
// known shape, member by member, or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <concur/detail/codec/reflect.hpp>
#include <concur/detail/codec/shapes.hpp>

namespace concur::inline v0 {

/// True: take this trivially copyable type by its bytes, whatever is in it. For types with an
/// address that means the same in every process, with a base class, or with an anonymous union.
template <class T>
inline constexpr bool trust_bytes = false;

/// True: by its cereal functions although it has a member serialize, one that needs more of an
/// archive than ours (named values, base classes). Include <concur/cereal.hpp>.
template <class T>
inline constexpr bool through_cereal = false;

/// Make it a friend, and serialize and the default constructor may be private:
/// `friend class concur::access;`
class access {
public:
    template <class Archive, class T>
    static auto serialize(Archive& archive, T& object) -> decltype(object.serialize(archive)) {
        return object.serialize(archive);
    }

private:
    /// One of ours that is not to be built before it is read.
    template <class T>
    static auto made(int) -> decltype(T::concur_unread()) {
        return T::concur_unread();
    }
    template <class T>
    static auto made(long) -> decltype(T()) {
        return T();
    }

public:
    template <class T>
    static auto make() -> decltype(made<T>(0)) {
        return made<T>(0);
    }
};

namespace detail {

/// Stands for an archive when a type is asked whether it has a function for one.
struct archive_probe {
    template <class... T>
    void operator()(T&&...);
};

template <class T>
concept has_member_serialize =
    std::is_class_v<T> && !through_cereal<T> &&
    requires(archive_probe& archive, T& object) { access::serialize(archive, object); };
template <class T>
concept has_free_serialize =
    (std::is_class_v<T> || std::is_enum_v<T> || std::is_union_v<T>) &&
    requires(archive_probe& archive, T& object) { concur_serialize(archive, object); };
template <class T>
concept customised = has_member_serialize<T> || has_free_serialize<T>;

template <class T>
concept function_pointer = std::is_pointer_v<T> && std::is_function_v<std::remove_pointer_t<T>>;

/// An aggregate whose members can be listed.
template <class T>
consteval bool listable() {
    if constexpr (!std::is_class_v<T> || !std::is_aggregate_v<T> || is_array_class<T>) {
        return false;
    } else if constexpr (has_base<T>) {
        return false;
    } else {
        return aggregate_fields<T>::count != uncountable;
    }
}

template <class T>
consteval bool plain_type();

template <class... F>
consteval bool all_plain(type_list<F...>) {
    return (plain_type<F>() && ...);
}

/// Of a class: whether its bytes are all there is to it, and any bytes will do. Not with a flag or
/// an index inside (optional, variant): those are looked at when read. What a class has in private
/// is not seen.
template <class T>
consteval bool plain_class() {
    if constexpr (customised<T> || borrower<T> || optional_shape<T> || variant_shape<T> ||
                  is_product<T>) {
        return false;
    } else if constexpr (is_array_class<T>) {
        return plain_type<typename T::value_type>();
    } else if constexpr (listable<T>()) {
        return all_plain(field_types<T>{});
    } else {
        return !std::is_aggregate_v<T>;
    }
}

/// What the standard calls trivially copyable. g++ forgets it of a closure with captures, which has
/// no assignment, as soon as a std::tuple or optional holds one.
template <class T>
inline constexpr bool copied_by_bytes =
    std::is_trivially_copyable_v<T> ||
    (std::is_class_v<T> && std::is_trivially_copy_constructible_v<T> &&
     std::is_trivially_move_constructible_v<T> && std::is_trivially_destructible_v<T> &&
     !std::is_copy_assignable_v<T> && !std::is_move_assignable_v<T>);

/// Travels by its bytes alone.
template <class T>
consteval bool plain_type() {
    using element = std::remove_cv_t<std::remove_all_extents_t<T>>;
    if constexpr (std::is_volatile_v<T> || !std::is_object_v<T> || !copied_by_bytes<element> ||
                  !std::is_move_constructible_v<element>) {
        return false;
    } else if constexpr (trust_bytes<element>) {
        return !customised<element>;
    } else if constexpr (std::is_enum_v<element>) {
        return !has_free_serialize<element>;
    } else if constexpr (std::is_class_v<element>) {
        return plain_class<element>();
    } else {
        return std::is_arithmetic_v<element> || std::is_null_pointer_v<element>;
    }
}

enum class wire {
    refused,
    member,    ///< by its serialize
    free,      ///< by concur_serialize
    bytes,     ///< as it stands in memory
    code,      ///< a function: module and offset
    elements,  ///< a C array or std::array, element by element
    bits,      ///< vector<bool>
    sequence,  ///< length and elements
    keyed,     ///< the same, inserted in order
    optional,
    variant,
    product,  ///< pair, tuple
    owner,    ///< unique_ptr
    fields    ///< member by member
};

/// A unique_ptr to T gives back what it held: not a class derived from T.
template <class T>
consteval wire owner_of() {
    return std::is_polymorphic_v<T> ? wire::refused : wire::owner;
}

template <class T>
consteval wire shape_of() {
    if constexpr (is_array_class<T>) return wire::elements;
    if constexpr (is_product<T>) return wire::product;
    if constexpr (is_owner<T>) return owner_of<typename T::element_type>();
    if constexpr (bits_shape<T>) return wire::bits;
    if constexpr (growing_shape<T>) return wire::sequence;
    if constexpr (keyed_shape<T>) return wire::keyed;
    if constexpr (optional_shape<T>) return wire::optional;
    if constexpr (variant_shape<T>) return wire::variant;
    return wire::refused;
}

template <class T>
consteval wire wire_kind() {
    if constexpr (!std::is_object_v<T> || std::is_volatile_v<T>) {
        return wire::refused;
    } else if constexpr (has_member_serialize<T>) {
        return wire::member;
    } else if constexpr (has_free_serialize<T>) {
        return wire::free;
    } else if constexpr (plain_type<T>()) {
        return wire::bytes;
    } else if constexpr (std::is_array_v<T>) {
        return wire::elements;
    } else if constexpr (function_pointer<T>) {
        return wire::code;
    } else if constexpr (!std::is_class_v<T> || borrower<T>) {
        return wire::refused;
    } else if constexpr (constexpr wire shape = shape_of<T>(); shape != wire::refused) {
        return shape;
    } else {
        return listable<T>() ? wire::fields : wire::refused;
    }
}

/// T without const.
template <class T>
inline constexpr wire wire_of = wire_kind<T>();

template <class T, wire = wire_of<T>>
struct wire_parts {
    using type = type_list<>;
};
template <class T>
struct wire_parts<T, wire::elements> {
    using type = type_list<std::remove_cvref_t<decltype(std::declval<T&>()[0])>>;
};
template <class T>
struct wire_parts<T, wire::sequence> {
    using type = type_list<typename T::value_type>;
};
template <class T>
struct wire_parts<T, wire::keyed> {
    using type = type_list<typename read_element<typename T::value_type>::type>;
};
template <class T>
struct wire_parts<T, wire::optional> : wire_parts<T, wire::sequence> {};
template <class T>
struct wire_parts<T, wire::variant> : template_arguments<T> {};
template <class T>
struct wire_parts<T, wire::product> : template_arguments<T> {};
template <class T>
struct wire_parts<T, wire::owner> {
    using type = type_list<typename T::element_type>;
};
template <class T>
struct wire_parts<T, wire::fields> {
    using type = field_types<T>;
};

/// type_list of the types that T is made of, on the wire.
template <class T>
using parts_of = typename wire_parts<T>::type;

template <class T>
consteval bool makeable() {
    return requires { access::make<T>(); };
}

template <class T, class... F>
consteval bool made_of(type_list<F...>) {
    if constexpr ((std::is_array_v<F> || ...)) {
        // Arrays cannot be handed over in braces: made empty, then filled.
        return std::is_default_constructible_v<T> &&
               ((std::is_array_v<F> || std::is_move_assignable_v<F>) && ...);
    } else {
        return requires { T{std::declval<std::remove_cv_t<F>>()...}; };
    }
}

/// Whether a T can be made from its parts, once they are read.
template <class T>
consteval bool makeable_from_parts() {
    constexpr wire kind = wire_of<T>;
    if constexpr (kind == wire::member || kind == wire::free) {
        return makeable<T>();
    } else if constexpr (kind == wire::fields) {
        return made_of<T>(parts_of<T>{});
    } else {
        return true;
    }
}

template <class T, class... Outer>
consteval bool crosses_inside();

template <class... P, class... Outer>
consteval bool all_cross(type_list<P...>, type_list<Outer...>) {
    return (crosses_inside<std::remove_cv_t<P>, Outer...>() && ...);
}

/// `Outer`: the aggregates around it. One that holds itself, in a vector or unique_ptr, crosses if
/// the rest of it does.
template <class T, class... Outer>
consteval bool crosses_inside() {
    constexpr wire kind = wire_of<T>;
    if constexpr (kind == wire::refused) {
        return false;
    } else if constexpr (kind == wire::bytes || kind == wire::code) {
        return true;
    } else if constexpr ((std::is_same_v<T, Outer> || ...)) {
        return true;
    } else if constexpr (!std::is_array_v<T> && !std::is_move_constructible_v<T>) {
        return false;
    } else if constexpr (!makeable_from_parts<T>()) {
        return false;
    } else if constexpr (kind == wire::fields) {
        return all_cross(parts_of<T>{}, type_list<T, Outer...>{});
    } else {
        return all_cross(parts_of<T>{}, type_list<Outer...>{});
    }
}

/// A T can travel to another process.
template <class T>
inline constexpr bool crosses = crosses_inside<std::remove_cv_t<T>>();

/// Bytes of a T that travels by its bytes: none when it is empty.
template <class T>
inline constexpr std::size_t plain_size = std::is_empty_v<T> ? 0 : sizeof(T);

/// The alignment that a value keeps on the wire, from the beginning of its frame.
template <class T>
inline constexpr std::size_t wire_align = alignof(T) < 64 ? alignof(T) : 64;

inline constexpr std::size_t align_up(std::size_t position, std::size_t alignment) noexcept {
    return (position + alignment - 1) & ~(alignment - 1);
}

template <class T>
consteval std::size_t least_size();

template <class... P>
consteval std::size_t least_sum(type_list<P...>) {
    return (std::size_t{0} + ... + least_size<std::remove_cv_t<P>>());
}

/// The fewest bytes that any T takes: what a length that is read is held against.
template <class T>
consteval std::size_t least_size() {
    constexpr wire kind = wire_of<T>;
    switch (kind) {
        case wire::bytes:
            return plain_size<T>;
        case wire::code:
            return 16;
        case wire::bits:
        case wire::sequence:
        case wire::keyed:
            return 8;
        case wire::variant:
            return 4;
        case wire::optional:
        case wire::owner:
            return 1;
        default:
            break;
    }
    if constexpr (kind == wire::elements) {
        using element = std::remove_cvref_t<decltype(std::declval<T&>()[0])>;
        return sizeof(T) / sizeof(element) * least_size<element>();
    } else if constexpr (kind == wire::product || kind == wire::fields) {
        return least_sum(parts_of<T>{});
    } else {
        return 0;
    }
}

inline constexpr std::size_t no_fixed_size = static_cast<std::size_t>(-1);

template <class T>
consteval std::size_t fixed_end(std::size_t position);

template <class... P>
consteval std::size_t fixed_ends(std::size_t position, type_list<P...>) {
    ((position = fixed_end<std::remove_cv_t<P>>(position)), ...);
    return position;
}

/// Where a T ends that begins at `position`, if that is the same for every T.
template <class T>
consteval std::size_t fixed_end(std::size_t position) {
    constexpr wire kind = wire_of<T>;
    if (position == no_fixed_size) return position;
    if constexpr (kind == wire::bytes) {
        return plain_size<T> == 0 ? position : align_up(position, wire_align<T>) + plain_size<T>;
    } else if constexpr (kind == wire::code) {
        return align_up(position, 8) + 16;
    } else if constexpr (kind == wire::product || kind == wire::fields) {
        return fixed_ends(position, parts_of<T>{});
    } else {
        return no_fixed_size;
    }
}

/// The bytes of a T at the beginning of a frame when they are as many for every T, else 0. (0 also
/// for what takes no bytes at all.)
template <class T>
inline constexpr std::size_t fixed_wire_size =
    fixed_end<std::remove_cv_t<T>>(0) == no_fixed_size ? 0 : fixed_end<std::remove_cv_t<T>>(0);

template <class T>
consteval bool holds_bool();

template <class... F>
consteval bool any_holds_bool(type_list<F...>) {
    return (holds_bool<std::remove_cv_t<F>>() || ...);
}

/// Of a type that travels by bytes: not every byte will do for a bool, so these are looked at.
template <class T>
consteval bool holds_bool() {
    using element = std::remove_cv_t<std::remove_all_extents_t<T>>;
    if constexpr (std::is_same_v<element, bool>) {
        return true;
    } else if constexpr (std::is_enum_v<element>) {
        return std::is_same_v<std::underlying_type_t<element>, bool>;
    } else if constexpr (trust_bytes<element>) {
        return false;
    } else if constexpr (is_array_class<element>) {
        return holds_bool<typename element::value_type>();
    } else if constexpr (listable<element>()) {
        return any_holds_bool(field_types<element>{});
    } else {
        return false;
    }
}

}  // namespace detail
}  // namespace concur::inline v0

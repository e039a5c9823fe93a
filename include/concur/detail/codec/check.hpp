// SPDX-License-Identifier: BSL-1.0
// The sentence that the compiler says about a type that cannot travel: one error, which names the
// part that is to blame and the remedy.
#pragma once

#include <type_traits>

#include <concur/detail/codec/traits.hpp>

namespace concur::inline v0::detail {

template <class T>
inline constexpr bool erased_callable = false;
template <template <class> class C, class R, class... A>
inline constexpr bool erased_callable<C<R(A...)>> = true;
template <template <class> class C, class R, class... A>
inline constexpr bool erased_callable<C<R(A...) const>> = true;

template <class T>
concept shared_owner = class_template<T> && requires(T const& kept) {
    typename T::element_type;
    kept.use_count();
};
template <class T>
concept erased_value = std::is_class_v<T> && requires(T const& kept) {
    kept.has_value();
    kept.type();
};
template <class T>
concept called_object = std::is_class_v<T> && requires { &T::operator(); };

/// An address in one of its many forms.
template <class T>
inline constexpr bool is_address = std::is_reference_v<T> || std::is_member_pointer_v<T> ||
                                   (std::is_pointer_v<T> && !function_pointer<T>) || borrower<T>;

/// Why a class cannot travel that has no parts to look at. `T` is what the compiler's note names.
template <class T>
constexpr void refuse_class() {
    static_assert(!erased_callable<T>,
                  "concur: a std::function, std::bind or other callable without a known type does "
                  "not travel to another process; give the function, lambda or struct itself, or "
                  "concur::partial(f, values...)");
    static_assert(erased_callable<T> || !shared_owner<T>,
                  "concur: a shared_ptr does not travel to another process, which cannot share "
                  "what it owns; send the value, or a shared_object");
    static_assert(!erased_value<T>,
                  "concur: a std::any does not travel to another process; send a std::variant");
    static_assert(!is_owner<T>,
                  "concur: a unique_ptr to a class with virtual functions does not travel to "
                  "another process, where its true type would be lost; send a std::variant");
    if constexpr (!erased_callable<T> && !shared_owner<T> && !erased_value<T> && !is_owner<T>) {
        if constexpr (std::is_aggregate_v<T>) {
            static_assert(!has_base<T>,
                          "concur: C++ cannot list the members of a struct with a base class: give "
                          "it template <class A> void serialize(A& ar) { ar(member, member...); }; "
                          "or, when its bytes are all there is to it, concur::trust_bytes");
            static_assert(has_base<T> || listable<T>(),
                          "concur: C++ cannot list the members of this struct (more than 64, or "
                          "arrays beside members without a default): give it "
                          "template <class A> void serialize(A& ar) { ar(member, member...); }");
        } else {
            static_assert(
                !called_object<T>,
                "concur: this lambda captures something that is more than plain bytes (a "
                "std::string, std::vector, smart pointer ...), and C++ cannot look inside "
                "it. Pass the captured values as arguments instead: "
                "pool.submit([](const std::string& s) { ... }, s); or bind them with "
                "concur::partial; or use a struct with public members and operator()");
            static_assert(
                called_object<T>,
                "concur: this type cannot travel to another process yet: give it "
                "template <class A> void serialize(A& ar) { ar(member, member...); }, in its "
                "public part");
        }
    }
}

template <class T>
constexpr void refuse_type() {
    static_assert(!is_address<T>,
                  "concur: a pointer, reference, string_view or span does not travel to another "
                  "process; send the value it points to");
    static_assert(!std::is_union_v<T>,
                  "concur: a union does not say which of its members is alive, so it does not "
                  "travel to another process; use std::variant");
    static_assert(!std::is_volatile_v<T>, "concur: a volatile value does not travel");
    if constexpr (!is_address<T> && std::is_class_v<T>) refuse_class<T>();
}

template <class T, class... Outer>
constexpr void refuse();

template <class... P, class... Outer>
constexpr void refuse_parts(type_list<P...>, type_list<Outer...>) {
    ((crosses_inside<std::remove_cv_t<P>, Outer...>() ? void()
                                                      : refuse<std::remove_cv_t<P>, Outer...>()),
     ...);
}

/// Finds the part that is to blame.
template <class T, class... Outer>
constexpr void refuse() {
    constexpr wire kind = wire_of<T>;
    if constexpr (crosses_inside<T, Outer...>()) {
    } else if constexpr (kind == wire::refused) {
        refuse_type<T>();
    } else if constexpr (!all_cross(parts_of<T>{}, type_list<T, Outer...>{})) {
        refuse_parts(parts_of<T>{}, type_list<T, Outer...>{});
    } else if constexpr (!std::is_move_constructible_v<T>) {
        static_assert(std::is_move_constructible_v<T>,
                      "concur: a type that cannot be moved does not travel to another process");
    } else if constexpr (kind == wire::member || kind == wire::free) {
        static_assert(makeable<T>(),
                      "concur: a type with serialize needs a default constructor, to be read into; "
                      "it may be private, with friend class concur::access");
    } else {
        static_assert(makeable_from_parts<T>(),
                      "concur: this struct cannot be made from its members: give it "
                      "template <class A> void serialize(A& ar) { ar(member, member...); }");
    }
}

/// True when a T can travel; else the compiler says why not and what to do, once, and the caller
/// leaves out its body: `if constexpr (check_crosses<T>())`.
template <class T>
constexpr bool check_crosses() {
    if constexpr (crosses<T>) {
        return true;
    } else {
        refuse<std::remove_cv_t<T>>();
        return false;
    }
}

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// The shapes that the codec knows by what they can do, not by name: containers, optional, variant.
// So their headers are not needed, and other libraries' look-alikes cross too. Only templates over
// types are taken for one: a class derived from a vector would lose what it adds.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <concur/detail/codec/reflect.hpp>

namespace concur::inline v0::detail {

template <class T>
struct template_arguments {
    static constexpr bool known = false;
};
template <template <class...> class C, class... A>
struct template_arguments<C<A...>> {
    static constexpr bool known = true;
    using type = type_list<A...>;
};

template <class T>
concept class_template = std::is_class_v<T> && template_arguments<T>::known;

template <class T>
inline constexpr bool is_array_class = false;
template <class T, std::size_t N>
inline constexpr bool is_array_class<std::array<T, N>> = true;

template <class T>
inline constexpr bool is_product = false;
template <class... T>
inline constexpr bool is_product<std::tuple<T...>> = true;
template <class A, class B>
inline constexpr bool is_product<std::pair<A, B>> = true;

template <class T>
inline constexpr bool is_owner = false;
template <class T>
inline constexpr bool is_owner<std::unique_ptr<T, std::default_delete<T>>> =
    !std::is_array_v<T> && !std::is_void_v<T>;

template <class T>
concept optional_shape = class_template<T> && requires(T object, T const& kept) {
    typename T::value_type;
    kept.has_value();
    *kept;
    object.reset();
    object.emplace(std::declval<typename T::value_type>());
};

template <class T>
concept variant_shape = class_template<T> && requires(T const& kept) {
    kept.index();
    { kept.valueless_by_exception() } -> std::same_as<bool>;
};

template <class T>
concept container_shape =
    class_template<T> && std::is_default_constructible_v<T> && requires(T const& kept) {
        typename T::value_type;
        kept.begin();
        kept.end();
        { kept.size() } -> std::convertible_to<std::size_t>;
    };

// An ordering or hash with state would be lost.
template <class T>
concept stateless_keys = requires(T& object, typename T::value_type& value) {
    typename T::key_type;
    object.insert(object.end(), std::move(value));
} && !requires { requires !std::is_empty_v<typename T::key_compare>; } && !requires {
    requires !std::is_empty_v<typename T::hasher>;
};

template <class T>
concept growing_shape = container_shape<T> && requires(T& object, typename T::value_type value) {
    object.push_back(std::move(value));
};

template <class T>
concept keyed_shape = container_shape<T> && stateless_keys<T>;

/// Elements one behind the other in memory, to be made from two pointers.
template <class T>
concept contiguous_shape =
    growing_shape<T> && requires(T const& kept, typename T::value_type const* p) {
        { kept.data() } -> std::same_as<typename T::value_type const*>;
        T(p, p);
    };

/// vector<bool>.
template <class T>
concept bits_shape = growing_shape<T> && std::same_as<typename T::value_type, bool> &&
                     !contiguous_shape<T> && requires(T const& kept) {
                         { kept[0] } -> std::convertible_to<bool>;
                     };

template <class T>
concept refers_to_one = requires(T const& kept) {
    typename T::type;
    { kept.get() } -> std::same_as<typename T::type&>;
};
template <class T>
concept refers_to_category = requires(T const& kept) {
    kept.category().name();
    kept.value();
};

/// A class that is an address in disguise: view, iterator, reference_wrapper, coroutine handle,
/// error_code (the address of its category).
template <class T>
concept borrower =
    std::is_class_v<T> && (std::ranges::enable_borrowed_range<T> || std::ranges::enable_view<T> ||
                           requires { typename T::iterator_category; } ||
                           requires { T::from_address(nullptr); } || refers_to_one<T> ||
                           refers_to_category<T>);

/// An element as it is read: pair<const K, V> as pair<K, V>.
template <class T>
struct read_element {
    using type = std::remove_cv_t<T>;
};
template <class K, class V>
struct read_element<std::pair<K const, V>> {
    using type = std::pair<K, V>;
};

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// Which types may stand in memory that several processes see, and a word that tells them apart, the
// same for every compiler.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <concur/detail/codec/traits.hpp>

// What Boost.Interprocess makes for this very use, if the program includes it.
namespace boost::interprocess {
class interprocess_mutex;
class interprocess_recursive_mutex;
class interprocess_condition;
class interprocess_condition_any;
class interprocess_semaphore;
class interprocess_sharable_mutex;
class interprocess_upgradable_mutex;
}  // namespace boost::interprocess

namespace concur::inline v0::detail {

template <class T>
inline constexpr bool is_atomic = false;
template <class T>
inline constexpr bool is_atomic<std::atomic<T>> = std::atomic<T>::is_always_lock_free;

template <class T, class... Others>
inline constexpr bool is_one_of = (std::is_same_v<T, Others> || ...);
template <class T>
inline constexpr bool is_boost_primitive = is_one_of<
    T, boost::interprocess::interprocess_mutex, boost::interprocess::interprocess_recursive_mutex,
    boost::interprocess::interprocess_condition, boost::interprocess::interprocess_condition_any,
    boost::interprocess::interprocess_semaphore, boost::interprocess::interprocess_sharable_mutex,
    boost::interprocess::interprocess_upgradable_mutex>;

template <class T>
struct atomic_value {
    using type = void;
};
template <class T>
struct atomic_value<std::atomic<T>> {
    using type = T;
};

template <class T>
consteval bool shareable_object();

template <class... F>
consteval bool all_shareable(type_list<F...>) {
    return (shareable_object<std::remove_cv_t<F>>() && ...);
}

/// May be built in shared memory: without addresses, and meant for several processes.
template <class T>
consteval bool shareable_object() {
    using element = std::remove_cv_t<std::remove_all_extents_t<T>>;
    if constexpr (is_atomic<element>) {
        return plain_type<typename atomic_value<element>::type>();
    } else if constexpr (is_boost_primitive<element> || trust_bytes<element>) {
        return true;
    } else if constexpr (plain_type<element>()) {
        return true;
    } else if constexpr (is_array_class<element>) {
        return shareable_object<typename element::value_type>();
    } else if constexpr (listable<element>()) {
        return all_shareable(field_types<element>{});
    } else {
        return false;
    }
}

consteval std::uint32_t mixed(std::uint32_t hash, std::size_t with) {
    for (int i = 0; i != 4; ++i) {
        hash = (hash ^ static_cast<std::uint32_t>(with >> 8 * i & 0xff)) * 16777619u;
    }
    return hash;
}

template <class T>
consteval std::uint32_t mixed_with(std::uint32_t hash);

template <class... F>
consteval std::uint32_t mixed_with_all(std::uint32_t hash, type_list<F...>) {
    ((hash = mixed_with<std::remove_cv_t<F>>(hash)), ...);
    return hash;
}

/// What stands where in a T: kinds and sizes of its numbers. A class that hides them counts by its
/// size.
template <class T>
consteval std::uint32_t mixed_with(std::uint32_t hash) {
    if constexpr (std::is_enum_v<T>) {
        return mixed_with<std::underlying_type_t<T>>(hash);
    } else if constexpr (std::is_arithmetic_v<T>) {
        char const kind = std::is_same_v<T, bool>       ? 'b'
                          : std::is_floating_point_v<T> ? 'f'
                          : std::is_signed_v<T>         ? 'i'
                                                        : 'u';
        return mixed(mixed(hash, static_cast<std::size_t>(kind)), sizeof(T));
    } else if constexpr (std::is_array_v<T>) {
        return mixed(mixed_with<std::remove_cv_t<std::remove_extent_t<T>>>(mixed(hash, '[')),
                     std::extent_v<T>);
    } else if constexpr (is_atomic<T>) {
        return mixed_with<typename atomic_value<T>::type>(mixed(hash, 'a'));
    } else if constexpr (std::is_class_v<T> && listable<T>() && !trust_bytes<T>) {
        auto const fields = mixed_with_all(mixed(hash, '{'), field_types<T>{});
        return mixed(mixed(fields, sizeof(T)), alignof(T));
    } else {
        return mixed(mixed(mixed(hash, 'x'), sizeof(T)), alignof(T));
    }
}

template <class T>
inline constexpr std::uint32_t shared_layout = mixed_with<std::remove_cv_t<T>>(2166136261u);

}  // namespace concur::inline v0::detail

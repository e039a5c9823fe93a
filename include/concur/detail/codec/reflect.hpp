// SPDX-License-Identifier: BSL-1.0
// The members of an aggregate, with no line from the user: how many there are, their declared
// types, references to them. Members that are C arrays count as one. Up to 64 members; no base
// classes and no anonymous unions (C++ cannot list those), private members make a class no
// aggregate.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include <concur/detail/base/config.hpp>

namespace concur::inline v0::detail {

template <class... T>
struct type_list {
    static constexpr std::size_t size = sizeof...(T);
};

inline constexpr std::size_t most_fields = 64;
inline constexpr std::size_t uncountable = most_fields + 1;

// Only asked in requires-expressions, never called. (Not constexpr: both compilers would then look
// for bodies.)
struct any_lvalue {
    template <class T>
    operator T&() const&& noexcept;
    template <class T>
    operator T&() const& noexcept;
};
struct any_rvalue {
    template <class T>
    operator T() const&& noexcept;
};
struct any_scalar {
    template <class T>
        requires std::is_scalar_v<T>
    operator T() const noexcept;
};
template <class Any, std::size_t>
using any_at = Any;

struct fits_nothing {};
template <class T>
struct only_base {
    template <class B>
        requires(std::is_base_of_v<B, T> && !std::is_same_v<B, T>)
    operator B() const noexcept;
};

/// The first thing in T's braces is a base class. (A member that takes just anything, as std::any
/// does, takes fits_nothing too.)
template <class T>
concept has_base = requires { T{only_base<T>{}}; } && !requires { T{fits_nothing{}}; };

/// For each number of members: whether T takes so many `{}`, whether it takes one thing more, and
/// what the members are.
template <std::size_t Fields>
struct field_table;

template <>
struct field_table<0> {
    template <class T>
    static constexpr bool takes = requires { T{}; };
    template <class T>
    static constexpr bool takes_more = requires { T{any_rvalue{}}; };
    template <class T>
    static type_list<> list(T&) {
        return {};
    }
    template <class T, class Use>
    static constexpr decltype(auto) bind(T&, Use&& use) {
        return use();
    }
};

// A structured binding needs a name for each member. CONCUR_FIELDS_3(x) is x(f1), x(f2), x(f3), and
// x makes names, braces or declared types of them.
// clang-format off
#define CONCUR_NAME(field) field
#define CONCUR_BRACES(field) {}
#define CONCUR_FIELDS_1(x) x(f1)
#define CONCUR_FIELDS_2(x) CONCUR_FIELDS_1(x), x(f2)
#define CONCUR_FIELDS_3(x) CONCUR_FIELDS_2(x), x(f3)
#define CONCUR_FIELDS_4(x) CONCUR_FIELDS_3(x), x(f4)
#define CONCUR_FIELDS_5(x) CONCUR_FIELDS_4(x), x(f5)
#define CONCUR_FIELDS_6(x) CONCUR_FIELDS_5(x), x(f6)
#define CONCUR_FIELDS_7(x) CONCUR_FIELDS_6(x), x(f7)
#define CONCUR_FIELDS_8(x) CONCUR_FIELDS_7(x), x(f8)
#define CONCUR_FIELDS_9(x) CONCUR_FIELDS_8(x), x(f9)
#define CONCUR_FIELDS_10(x) CONCUR_FIELDS_9(x), x(f10)
#define CONCUR_FIELDS_11(x) CONCUR_FIELDS_10(x), x(f11)
#define CONCUR_FIELDS_12(x) CONCUR_FIELDS_11(x), x(f12)
#define CONCUR_FIELDS_13(x) CONCUR_FIELDS_12(x), x(f13)
#define CONCUR_FIELDS_14(x) CONCUR_FIELDS_13(x), x(f14)
#define CONCUR_FIELDS_15(x) CONCUR_FIELDS_14(x), x(f15)
#define CONCUR_FIELDS_16(x) CONCUR_FIELDS_15(x), x(f16)
#define CONCUR_FIELDS_17(x) CONCUR_FIELDS_16(x), x(f17)
#define CONCUR_FIELDS_18(x) CONCUR_FIELDS_17(x), x(f18)
#define CONCUR_FIELDS_19(x) CONCUR_FIELDS_18(x), x(f19)
#define CONCUR_FIELDS_20(x) CONCUR_FIELDS_19(x), x(f20)
#define CONCUR_FIELDS_21(x) CONCUR_FIELDS_20(x), x(f21)
#define CONCUR_FIELDS_22(x) CONCUR_FIELDS_21(x), x(f22)
#define CONCUR_FIELDS_23(x) CONCUR_FIELDS_22(x), x(f23)
#define CONCUR_FIELDS_24(x) CONCUR_FIELDS_23(x), x(f24)
#define CONCUR_FIELDS_25(x) CONCUR_FIELDS_24(x), x(f25)
#define CONCUR_FIELDS_26(x) CONCUR_FIELDS_25(x), x(f26)
#define CONCUR_FIELDS_27(x) CONCUR_FIELDS_26(x), x(f27)
#define CONCUR_FIELDS_28(x) CONCUR_FIELDS_27(x), x(f28)
#define CONCUR_FIELDS_29(x) CONCUR_FIELDS_28(x), x(f29)
#define CONCUR_FIELDS_30(x) CONCUR_FIELDS_29(x), x(f30)
#define CONCUR_FIELDS_31(x) CONCUR_FIELDS_30(x), x(f31)
#define CONCUR_FIELDS_32(x) CONCUR_FIELDS_31(x), x(f32)
#define CONCUR_FIELDS_33(x) CONCUR_FIELDS_32(x), x(f33)
#define CONCUR_FIELDS_34(x) CONCUR_FIELDS_33(x), x(f34)
#define CONCUR_FIELDS_35(x) CONCUR_FIELDS_34(x), x(f35)
#define CONCUR_FIELDS_36(x) CONCUR_FIELDS_35(x), x(f36)
#define CONCUR_FIELDS_37(x) CONCUR_FIELDS_36(x), x(f37)
#define CONCUR_FIELDS_38(x) CONCUR_FIELDS_37(x), x(f38)
#define CONCUR_FIELDS_39(x) CONCUR_FIELDS_38(x), x(f39)
#define CONCUR_FIELDS_40(x) CONCUR_FIELDS_39(x), x(f40)
#define CONCUR_FIELDS_41(x) CONCUR_FIELDS_40(x), x(f41)
#define CONCUR_FIELDS_42(x) CONCUR_FIELDS_41(x), x(f42)
#define CONCUR_FIELDS_43(x) CONCUR_FIELDS_42(x), x(f43)
#define CONCUR_FIELDS_44(x) CONCUR_FIELDS_43(x), x(f44)
#define CONCUR_FIELDS_45(x) CONCUR_FIELDS_44(x), x(f45)
#define CONCUR_FIELDS_46(x) CONCUR_FIELDS_45(x), x(f46)
#define CONCUR_FIELDS_47(x) CONCUR_FIELDS_46(x), x(f47)
#define CONCUR_FIELDS_48(x) CONCUR_FIELDS_47(x), x(f48)
#define CONCUR_FIELDS_49(x) CONCUR_FIELDS_48(x), x(f49)
#define CONCUR_FIELDS_50(x) CONCUR_FIELDS_49(x), x(f50)
#define CONCUR_FIELDS_51(x) CONCUR_FIELDS_50(x), x(f51)
#define CONCUR_FIELDS_52(x) CONCUR_FIELDS_51(x), x(f52)
#define CONCUR_FIELDS_53(x) CONCUR_FIELDS_52(x), x(f53)
#define CONCUR_FIELDS_54(x) CONCUR_FIELDS_53(x), x(f54)
#define CONCUR_FIELDS_55(x) CONCUR_FIELDS_54(x), x(f55)
#define CONCUR_FIELDS_56(x) CONCUR_FIELDS_55(x), x(f56)
#define CONCUR_FIELDS_57(x) CONCUR_FIELDS_56(x), x(f57)
#define CONCUR_FIELDS_58(x) CONCUR_FIELDS_57(x), x(f58)
#define CONCUR_FIELDS_59(x) CONCUR_FIELDS_58(x), x(f59)
#define CONCUR_FIELDS_60(x) CONCUR_FIELDS_59(x), x(f60)
#define CONCUR_FIELDS_61(x) CONCUR_FIELDS_60(x), x(f61)
#define CONCUR_FIELDS_62(x) CONCUR_FIELDS_61(x), x(f62)
#define CONCUR_FIELDS_63(x) CONCUR_FIELDS_62(x), x(f63)
#define CONCUR_FIELDS_64(x) CONCUR_FIELDS_63(x), x(f64)

#define CONCUR_TABLE(n)                                                                \
    template <>                                                                        \
    struct field_table<n> {                                                            \
        template <class T>                                                             \
        static constexpr bool takes = requires { T{CONCUR_FIELDS_##n(CONCUR_BRACES)}; }; \
        template <class T>                                                             \
        static constexpr bool takes_more =                                             \
            requires { T{CONCUR_FIELDS_##n(CONCUR_BRACES), any_rvalue{}}; };           \
        template <class T>                                                             \
        static auto list(T& object) {                                                  \
            [[maybe_unused]] auto& [CONCUR_FIELDS_##n(CONCUR_NAME)] = object;          \
            return type_list<CONCUR_FIELDS_##n(decltype)>{};                           \
        }                                                                              \
        template <class T, class Use>                                                  \
        static constexpr decltype(auto) bind(T& object, Use&& use) {                   \
            auto& [CONCUR_FIELDS_##n(CONCUR_NAME)] = object;                           \
            return use(CONCUR_FIELDS_##n(CONCUR_NAME));                                \
        }                                                                              \
    };
CONCUR_TABLE(1) CONCUR_TABLE(2) CONCUR_TABLE(3) CONCUR_TABLE(4) CONCUR_TABLE(5)
CONCUR_TABLE(6) CONCUR_TABLE(7) CONCUR_TABLE(8) CONCUR_TABLE(9) CONCUR_TABLE(10)
CONCUR_TABLE(11) CONCUR_TABLE(12) CONCUR_TABLE(13) CONCUR_TABLE(14) CONCUR_TABLE(15)
CONCUR_TABLE(16) CONCUR_TABLE(17) CONCUR_TABLE(18) CONCUR_TABLE(19) CONCUR_TABLE(20)
CONCUR_TABLE(21) CONCUR_TABLE(22) CONCUR_TABLE(23) CONCUR_TABLE(24) CONCUR_TABLE(25)
CONCUR_TABLE(26) CONCUR_TABLE(27) CONCUR_TABLE(28) CONCUR_TABLE(29) CONCUR_TABLE(30)
CONCUR_TABLE(31) CONCUR_TABLE(32) CONCUR_TABLE(33) CONCUR_TABLE(34) CONCUR_TABLE(35)
CONCUR_TABLE(36) CONCUR_TABLE(37) CONCUR_TABLE(38) CONCUR_TABLE(39) CONCUR_TABLE(40)
CONCUR_TABLE(41) CONCUR_TABLE(42) CONCUR_TABLE(43) CONCUR_TABLE(44) CONCUR_TABLE(45)
CONCUR_TABLE(46) CONCUR_TABLE(47) CONCUR_TABLE(48) CONCUR_TABLE(49) CONCUR_TABLE(50)
CONCUR_TABLE(51) CONCUR_TABLE(52) CONCUR_TABLE(53) CONCUR_TABLE(54) CONCUR_TABLE(55)
CONCUR_TABLE(56) CONCUR_TABLE(57) CONCUR_TABLE(58) CONCUR_TABLE(59) CONCUR_TABLE(60)
CONCUR_TABLE(61) CONCUR_TABLE(62) CONCUR_TABLE(63) CONCUR_TABLE(64)
#undef CONCUR_TABLE
#undef CONCUR_NAME
#undef CONCUR_BRACES
#undef CONCUR_FIELDS_1
#undef CONCUR_FIELDS_2
#undef CONCUR_FIELDS_3
#undef CONCUR_FIELDS_4
#undef CONCUR_FIELDS_5
#undef CONCUR_FIELDS_6
#undef CONCUR_FIELDS_7
#undef CONCUR_FIELDS_8
#undef CONCUR_FIELDS_9
#undef CONCUR_FIELDS_10
#undef CONCUR_FIELDS_11
#undef CONCUR_FIELDS_12
#undef CONCUR_FIELDS_13
#undef CONCUR_FIELDS_14
#undef CONCUR_FIELDS_15
#undef CONCUR_FIELDS_16
#undef CONCUR_FIELDS_17
#undef CONCUR_FIELDS_18
#undef CONCUR_FIELDS_19
#undef CONCUR_FIELDS_20
#undef CONCUR_FIELDS_21
#undef CONCUR_FIELDS_22
#undef CONCUR_FIELDS_23
#undef CONCUR_FIELDS_24
#undef CONCUR_FIELDS_25
#undef CONCUR_FIELDS_26
#undef CONCUR_FIELDS_27
#undef CONCUR_FIELDS_28
#undef CONCUR_FIELDS_29
#undef CONCUR_FIELDS_30
#undef CONCUR_FIELDS_31
#undef CONCUR_FIELDS_32
#undef CONCUR_FIELDS_33
#undef CONCUR_FIELDS_34
#undef CONCUR_FIELDS_35
#undef CONCUR_FIELDS_36
#undef CONCUR_FIELDS_37
#undef CONCUR_FIELDS_38
#undef CONCUR_FIELDS_39
#undef CONCUR_FIELDS_40
#undef CONCUR_FIELDS_41
#undef CONCUR_FIELDS_42
#undef CONCUR_FIELDS_43
#undef CONCUR_FIELDS_44
#undef CONCUR_FIELDS_45
#undef CONCUR_FIELDS_46
#undef CONCUR_FIELDS_47
#undef CONCUR_FIELDS_48
#undef CONCUR_FIELDS_49
#undef CONCUR_FIELDS_50
#undef CONCUR_FIELDS_51
#undef CONCUR_FIELDS_52
#undef CONCUR_FIELDS_53
#undef CONCUR_FIELDS_54
#undef CONCUR_FIELDS_55
#undef CONCUR_FIELDS_56
#undef CONCUR_FIELDS_57
#undef CONCUR_FIELDS_58
#undef CONCUR_FIELDS_59
#undef CONCUR_FIELDS_60
#undef CONCUR_FIELDS_61
#undef CONCUR_FIELDS_62
#undef CONCUR_FIELDS_63
#undef CONCUR_FIELDS_64
    // clang-format on

    /// When every member can be made from {}: as many as T takes.
    template <class T, std::size_t N>
    consteval std::size_t count_defaulted() {
    if constexpr (N == most_fields) {
        return field_table<N>::template takes_more<T> ? uncountable : N;
    } else if constexpr (field_table<N + 1>::template takes<T>) {
        return count_defaulted<T, N + 1>();
    } else {
        return N;
    }
}

template <class T, class Any, class Positions>
inline constexpr bool takes_any = false;
template <class T, class Any, std::size_t... I>
inline constexpr bool takes_any<T, Any, std::index_sequence<I...>> =
    requires { T{any_at<Any, I>{}...}; };

/// The member at the end of `Before` is a C array: it takes two values in braces and yet uses up
/// more than one of those without. (Of scalars: what classes would do with two braces, clang would
/// instantiate.)
template <class T, class Any, class Before, class Behind>
inline constexpr bool array_behind = false;
template <class T, class Any, std::size_t... B, std::size_t... A>
inline constexpr bool array_behind<T, Any, std::index_sequence<B...>, std::index_sequence<A...>> =
    requires { T{any_at<Any, B>{}..., {any_scalar{}, any_scalar{}}}; } &&
    !requires { T{any_at<Any, B>{}..., {any_scalar{}, any_scalar{}}, any_at<Any, A>{}...}; };

template <class T, class Any, std::size_t N, std::size_t... P>
consteval bool no_arrays(std::index_sequence<P...>) {
    return !(
        array_behind<T, Any, std::make_index_sequence<P>, std::make_index_sequence<N - P - 1>> ||
        ...);
}

/// When some member has no default: the most values that T takes, provided that none is an array
/// (which would take several).
template <class T, class Any, std::size_t N>
consteval std::size_t count_by_values() {
    if constexpr (N == 0) {
        return uncountable;
    } else if constexpr (!takes_any<T, Any, std::make_index_sequence<N>>) {
        return count_by_values<T, Any, N - 1>();
    } else if constexpr (N > most_fields ||
                         !no_arrays<T, Any, N>(std::make_index_sequence<N - 1>{})) {
        return uncountable;
    } else {
        return N;
    }
}

/// What count_defaulted() says, if it is the whole truth: T has a default, and takes no more.
template <class T>
consteval std::size_t count_if_defaulted() {
    if constexpr (field_table<0>::template takes<T>) {
        constexpr std::size_t found = count_defaulted<T, 0>();
        if constexpr (found == uncountable) {
            return found;
        } else if constexpr (!field_table<found>::template takes_more<T>) {
            return found;
        }
    }
    return 0;
}

/// Members of the aggregate T, which has no base; `uncountable` when there are too many, or when it
/// has both arrays and members without a default.
template <class T>
consteval std::size_t count_fields() {
    if constexpr (std::is_empty_v<T>) {
        return 0;
    } else if constexpr (constexpr std::size_t found = count_if_defaulted<T>(); found != 0) {
        return found;
    } else {
        using any = std::conditional_t<std::is_copy_constructible_v<T>, any_lvalue, any_rvalue>;
        constexpr std::size_t most = sizeof(T) < uncountable ? sizeof(T) : uncountable;
        return count_by_values<T, any, most>();
    }
}

/// The members of T: how many, and visit(object, use), which gives use(member&...).
template <class T>
struct aggregate_fields {
    static constexpr std::size_t count = count_fields<T>();
    static auto list(T& object) { return field_table<count>::list(object); }
    template <class U, class Use>
    static constexpr decltype(auto) visit(U& object, Use&& use) {
        return field_table<count>::bind(object, static_cast<Use&&>(use));
    }
};

/// type_list of the declared types: const and references stay.
template <class T>
using field_types = decltype(aggregate_fields<T>::list(std::declval<T&>()));

}  // namespace concur::inline v0::detail

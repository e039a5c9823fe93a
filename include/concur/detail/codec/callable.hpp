// SPDX-License-Identifier: BSL-1.0
// Which callables travel: functions, lambdas that capture nothing or plain bytes, structs with
// public members and operator(), and partial, unpack, retry of these. A reference to a local and a
// value look alike to the compiler, so closures are looked through when they are sent.
#pragma once

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <tuple>
#include <type_traits>

#include <concur/detail/base/stack.hpp>
#include <concur/detail/codec/archive.hpp>
#include <concur/detail/codec/check.hpp>
#include <concur/detail/codec/read_pass.hpp>

namespace concur::inline v0::detail {

// What callable.hpp, a floor up, makes: known by their members, for a closure inside has no default
// by which members are counted.
template <class F, class... Bound>
struct partial_call;
template <class F>
struct unpacked_call;
template <class F>
struct retried_call;

template <class F, class... Bound>
struct aggregate_fields<partial_call<F, Bound...>> {
    static constexpr std::size_t count = 2;
    static type_list<F, std::tuple<Bound...>> list(partial_call<F, Bound...>&) { return {}; }
    template <class Call, class Use>
    static constexpr decltype(auto) visit(Call& call, Use&& use) {
        return use(call.f, call.bound);
    }
};
template <class F>
struct aggregate_fields<unpacked_call<F>> {
    static constexpr std::size_t count = 1;
    static type_list<F> list(unpacked_call<F>&) { return {}; }
    template <class Call, class Use>
    static constexpr decltype(auto) visit(Call& call, Use&& use) {
        return use(call.f);
    }
};
template <class F>
struct aggregate_fields<retried_call<F>> {
    static constexpr std::size_t count = 2;
    static type_list<int, F> list(retried_call<F>&) { return {}; }
    template <class Call, class Use>
    static constexpr decltype(auto) visit(Call& call, Use&& use) {
        return use(call.tries, call.f);
    }
};

/// check_crosses() for a callable.
template <class F>
constexpr bool check_callable() {
    using callable = std::decay_t<F>;
    static_assert(!std::is_member_pointer_v<callable>,
                  "concur: a pointer to a member does not travel to another process; wrap it in a "
                  "lambda: [](auto&& object) { return object.member(); }");
    if constexpr (!std::is_member_pointer_v<callable>) {
        return check_crosses<callable>();
    }
    return false;
}

[[gnu::cold, gnu::noinline, noreturn]] inline void throw_local_captured() {
    throw std::invalid_argument(
        "a callable for another process captures a local by reference, or a pointer to one; pass "
        "the value as an argument, or capture it by value");
}

inline void require_not_on_stack(std::uintptr_t word) {
    if (own_stack().holds(word)) throw_local_captured();
}

#if defined(__has_builtin)
#if !__has_builtin(__builtin_clear_padding) && __has_builtin(__builtin_dump_struct)
#define CONCUR_DUMPS_STRUCTS 1
#endif
#endif

#if CONCUR_DUMPS_STRUCTS

template <class Closure>
void scan_closure(Closure const& closure);

/// clang cannot clear padding, but it names each member to a printf: of these, the pointers. What
/// points into the closure is a member without a format of its own.
template <class Value>
void require_member_not_local(std::uintptr_t begin, std::uintptr_t end, Value value) {
    if constexpr (std::is_pointer_v<Value>) {
        auto const word = reinterpret_cast<std::uintptr_t>(value);
        using pointee = std::remove_cv_t<std::remove_pointer_t<Value>>;
        if (word < begin || word >= end) {
            require_not_on_stack(word);
        } else if constexpr (std::is_class_v<pointee>) {
            scan_closure(*value);  // a closure in a closure
        }
    }
}

struct member_dump {
    std::uintptr_t begin;
    std::uintptr_t end;
    template <class... Values>
    void operator()(char const*, Values... values) const {
        (require_member_not_local(begin, end, values), ...);
    }
};

template <class Closure>
void scan_closure(Closure const& closure) {
    auto const begin = reinterpret_cast<std::uintptr_t>(&closure);
    __builtin_dump_struct(&closure, member_dump{begin, begin + sizeof closure});
}

#else

/// Its words, without its padding, where an older address may still stand.
template <class Closure>
void scan_closure([[maybe_unused]] Closure const& closure) {
#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
    if constexpr (std::is_copy_constructible_v<Closure>) {
        Closure copy(closure);
        __builtin_clear_padding(&copy);
        std::uintptr_t words[sizeof(Closure) / sizeof(std::uintptr_t) + 1];
        constexpr std::size_t count = sizeof(Closure) / sizeof(std::uintptr_t);
        std::memcpy(words, &copy, count * sizeof(std::uintptr_t));
        for (std::size_t i = 0; i != count; ++i) require_not_on_stack(words[i]);
    }
#endif
#endif
}

#endif
#undef CONCUR_DUMPS_STRUCTS

/// Looks for addresses in the calling thread's stack, in what travels by its bytes and hides its
/// members: closures. Not found: locals of other threads and of coroutines, and objects on the heap
/// behind a captured pointer or `this`.
///
/// Throws   std::invalid_argument, which says what to do instead.
/// Cost     3 ns; the first time in each thread, some microseconds.
template <class F>
void require_no_local_captured(F const& f) {
    constexpr wire kind = wire_of<F>;
    if constexpr (kind == wire::bytes && std::is_class_v<F> && !trust_bytes<F>) {
        if constexpr (std::is_empty_v<F>) {
        } else if constexpr (listable<F>()) {
            aggregate_fields<F>::visit(
                f, [](auto const&... field) { (require_no_local_captured(field), ...); });
        } else if constexpr (!is_array_class<F>) {
            scan_closure(f);
        }
    } else if constexpr (kind == wire::product || kind == wire::fields) {
        each_part(f, [](auto const& part) { require_no_local_captured(part); });
    } else if constexpr (kind == wire::optional) {
        if (f.has_value()) require_no_local_captured(*f);
    }
}

/// The callable that was written by a write_pass.
template <class F>
F read_callable(read_pass& in) {
    if constexpr (check_callable<F>()) return in.get<F>();
}

}  // namespace concur::inline v0::detail

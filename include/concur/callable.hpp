// SPDX-License-Identifier: BSL-1.0
// partial, unpack and retry: callables made of callables, in a form that also crosses process
// borders. They are aggregates of what they hold; copies are independent.
#pragma once

#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include <concur/detail/base/text.hpp>
#include <concur/detail/task/stop.hpp>
#include <concur/error.hpp>

namespace concur::inline v0 {

namespace detail {

/// f(args...) by the rules of std::invoke, without the weight of <functional>.
template <class F, class... Args>
constexpr decltype(auto) call(F&& f, Args&&... args) {
    return std::apply(std::forward<F>(f), std::forward_as_tuple(std::forward<Args>(args)...));
}

/// What partial() gives.
template <class F, class... Bound>
struct partial_call {
    F f;
    std::tuple<Bound...> bound;

    template <class Self, class... Args>
    static constexpr decltype(auto) apply(Self&& self, Args&&... args) {
        return std::apply(
            [&](auto&&... first) -> decltype(auto) {
                return call(std::forward<Self>(self).f, std::forward<decltype(first)>(first)...,
                            std::forward<Args>(args)...);
            },
            std::forward<Self>(self).bound);
    }

    template <class... Args>
        requires std::is_invocable_v<F const&, Bound const&..., Args...>
    constexpr decltype(auto) operator()(Args&&... args) const& {
        return apply(*this, std::forward<Args>(args)...);
    }
    template <class... Args>
        requires std::is_invocable_v<F&, Bound&..., Args...>
    constexpr decltype(auto) operator()(Args&&... args) & {
        return apply(*this, std::forward<Args>(args)...);
    }
    template <class... Args>
        requires std::is_invocable_v<F, Bound..., Args...>
    constexpr decltype(auto) operator()(Args&&... args) && {
        return apply(std::move(*this), std::forward<Args>(args)...);
    }
};

template <class F, class Tuple, class Positions>
inline constexpr bool applies_to_elements = false;
template <class F, class Tuple, std::size_t... I>
inline constexpr bool applies_to_elements<F, Tuple, std::index_sequence<I...>> =
    std::is_invocable_v<F, decltype(std::get<I>(std::declval<Tuple>()))...>;

/// F can be called with the elements of this tuple, pair or array.
template <class F, class Tuple>
concept applicable =
    requires { std::tuple_size<std::remove_cvref_t<Tuple>>::value; } &&
    applies_to_elements<F, Tuple,
                        std::make_index_sequence<std::tuple_size_v<std::remove_cvref_t<Tuple>>>>;

/// What unpack() gives.
template <class F>
struct unpacked_call {
    F f;

    template <class Tuple>
        requires applicable<F const&, Tuple>
    constexpr decltype(auto) operator()(Tuple&& tuple) const {
        return std::apply(f, std::forward<Tuple>(tuple));
    }
};

/// How an argument is given to each attempt: an lvalue as it is, anything else as const, for there
/// may be another attempt.
template <class A>
using same_again = std::conditional_t<std::is_lvalue_reference_v<A>, A, A const&>;

/// What retry() gives.
template <class F>
struct retried_call {
    int tries;
    F f;

    template <class... Args>
        requires std::is_invocable_v<F const&, same_again<Args>...>
    decltype(auto) operator()(Args&&... args) const {
        return repeat<same_again<Args>...>(f, args...);
    }
    template <class... Args>
        requires std::is_invocable_v<F&, same_again<Args>...>
    decltype(auto) operator()(Args&&... args) {
        return repeat<same_again<Args>...>(f, args...);
    }

private:
    template <class... Args, class Function>
    decltype(auto) repeat(Function& function, Args... args) const {
        task_context* const context = this_task_context;
        for (int attempt = 1;; ++attempt) {
            if (context) context->attempt = attempt;
            try {
                return call(function, args...);
            } catch (task_cancelled const&) {
                throw;  // it was asked to end: trying again would be against that
            } catch (...) {
                if (attempt >= tries || current_stop_requested()) throw;
            }
        }
    }
};

}  // namespace detail

/// A callable that calls f(bound..., args...). Everything is held by value; use std::ref to share,
/// which then stays in this process.
template <class F, class... Bound>
constexpr auto partial(F&& f, Bound&&... bound) {
    return detail::partial_call<std::decay_t<F>, std::decay_t<Bound>...>{
        std::forward<F>(f), {std::forward<Bound>(bound)...}};
}

/// A callable that takes one tuple (or pair, or array) and calls f with its elements.
template <class F>
constexpr auto unpack(F&& f) {
    return detail::unpacked_call<std::decay_t<F>>{std::forward<F>(f)};
}

/// A callable that calls f up to `tries` times in all, until it does not throw; the last exception
/// counts. A cancelled task is not tried again. this_task::attempt() tells which try it is.
///
/// Throws   std::invalid_argument when tries is less than 1.
template <class F>
constexpr auto retry(int tries, F&& f) {
    if (tries < 1) {
        throw std::invalid_argument(detail::text(
            "retry(tries, f): tries is %d; it counts the first attempt too, so 1 is the least",
            tries));
    }
    return detail::retried_call<std::decay_t<F>>{tries, std::forward<F>(f)};
}

}  // namespace concur::inline v0

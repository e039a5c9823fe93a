// SPDX-License-Identifier: BSL-1.0
// What event_loop makes of a submitted function that gives a coroutine: the rules for the verbs.
#pragma once

#include <tuple>
#include <utility>

#include <concur/detail/event_loop/await_asio.hpp>
#include <concur/detail/event_loop/coroutine_job.hpp>
#include <concur/detail/event_loop/task.hpp>
#include <concur/detail/verbs/submit.hpp>

namespace concur::inline v0::detail {

template <class T>
task<T> to_task(task<T>&& t) noexcept {
    return std::move(t);
}

template <class T, class Executor>
task<T> to_task(boost::asio::awaitable<T, Executor> a) {
    co_return co_await std::move(a);
}

/// The coroutine of a submitted call. Function and arguments stay where they are until it has
/// ended.
template <class F, class... Args>
auto coroutine_of(bound_call<F, Args...>& c) {
    return to_task(std::move(c)());
}

/// With futures among the arguments: their values live in a coroutine around it.
template <class T, class Call>
task<T> run_with_values(Call& c) {
    auto values = c.values();
    auto inner = to_task(c.invoke_with(values));
    co_return co_await std::move(inner);
}
template <class F, class... Args>
auto coroutine_of(awaiting_call<F, Args...>& c) {
    using inner = decltype(to_task(std::declval<typename rules_for<F, Args...>::result_type>()));
    return run_with_values<typename inner::value_type>(c);
}

template <class T>
inline constexpr bool accepts_result<loop_core, task<T>> = true;
template <class T, class Executor>
inline constexpr bool accepts_result<loop_core, boost::asio::awaitable<T, Executor>> = true;

template <class T>
struct result_rules<loop_core, task<T>> {
    using value_type = T;
    template <class Call, class R, bool Extras, result_use Use>
    using block = coroutine_job<Call, T, R, Extras, Use>;
};
template <class T, class Executor>
struct result_rules<loop_core, boost::asio::awaitable<T, Executor>>
    : result_rules<loop_core, task<T>> {};

}  // namespace concur::inline v0::detail

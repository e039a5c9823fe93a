// SPDX-License-Identifier: BSL-1.0
// when_all, when_any, with_timeout and shield for tasks: structured, so nothing that they start
// outlives them. What they take may be anything that can be co_awaited.
#pragma once

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <concur/detail/event_loop/await_future.hpp>
#include <concur/detail/event_loop/join.hpp>
#include <concur/detail/event_loop/submit.hpp>

namespace concur::inline v0 {

namespace detail {

template <class A>
using await_result_t =
    std::decay_t<decltype(awaiter_for(std::declval<std::decay_t<A>>()).await_resume())>;

template <class A>
task<await_result_t<A>> wrapped_as_task(A awaited) {
    co_return co_await std::move(awaited);
}

/// Anything that can be awaited, as a task.
template <class T>
task<T> as_task(task<T>&& t) noexcept {
    return std::move(t);
}
template <class A>
    requires can_await<A>
auto as_task(A&& awaited) {
    return wrapped_as_task<std::decay_t<A>>(std::forward<A>(awaited));
}
template <class A>
using task_value_t = typename decltype(as_task(std::declval<A>()))::value_type;

template <class A>
inline constexpr bool is_future_v = awaited<std::remove_cvref_t<A>>::is_future;

/// Of when_all and when_any in their form for tasks: futures alone have a form of their own.
template <class... A>
concept task_arguments = sizeof...(A) != 0 && (can_await<A> && ...) && !(is_future_v<A> && ...);

template <class T>
using no_void = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class T>
void add_task(join& all, child_strand& child, task<T>& t) {
    auto& frame = task_access::frame_of(t);
    if (!frame) throw std::future_error(std::future_errc::no_state);
    all.add(child, frame.promise());
}

/// The value of a task that has ended, or what it threw.
template <class T>
no_void<T> take_value(task<T>& t) {
    auto& ended = task_access::frame_of(t).promise();
    if constexpr (std::is_void_v<T>) {
        ended.take();
        return {};
    } else {
        return ended.take();
    }
}

inline void throw_failure_of(join& all) {
    if (all.failure()) std::rethrow_exception(all.failure());
    if (all.any_cancelled()) all.throw_if_interrupted();
}

template <class... T>
task<std::tuple<no_void<T>...>> all_of(std::tuple<task<T>...> tasks) {
    std::array<child_strand, sizeof...(T)> children;
    join all(join::rule::first_failure_cancels);
    std::apply(
        [&](task<T>&... t) {
            std::size_t i = 0;
            (add_task(all, children[i++], t), ...);
        },
        tasks);
    co_await all.run();
    throw_failure_of(all);
    // Braces: from left to right.
    auto const take = [](task<T>&... t) { return std::tuple<no_void<T>...>{take_value(t)...}; };
    co_return std::apply(take, tasks);
}

template <class T>
auto all_of(std::vector<task<T>> tasks)
    -> task<std::conditional_t<std::is_void_v<T>, void, std::vector<no_void<T>>>> {
    auto children = std::make_unique<child_strand[]>(tasks.size());
    join all(join::rule::first_failure_cancels);
    for (std::size_t i = 0; i < tasks.size(); ++i) add_task(all, children[i], tasks[i]);
    if (!tasks.empty()) co_await all.run();
    throw_failure_of(all);
    if constexpr (!std::is_void_v<T>) {
        std::vector<T> values;
        values.reserve(tasks.size());
        for (auto& t : tasks) values.push_back(take_value(t));
        co_return values;
    }
}

template <class Variant, std::size_t I, class T>
Variant variant_with(task<T>& t) {
    return Variant(std::in_place_index<I>, take_value(t));
}

template <class... T>
task<std::variant<no_void<T>...>> any_of(std::tuple<task<T>...> tasks) {
    std::array<child_strand, sizeof...(T)> children;
    join all(join::rule::first_end_cancels);
    std::apply(
        [&](task<T>&... t) {
            std::size_t i = 0;
            (add_task(all, children[i++], t), ...);
        },
        tasks);
    co_await all.run();
    auto& first = *all.first_ended();
    if (first.how == child_strand::ending::cancelled) all.throw_if_interrupted();
    auto const winner = static_cast<std::size_t>(&first - children.data());
    using variant = std::variant<no_void<T>...>;
    auto const pick = [&]<std::size_t... I>(std::index_sequence<I...>) {
        using maker = variant (*)(std::tuple<task<T>...>&);
        static constexpr maker makers[] = {+[](std::tuple<task<T>...>& from) {
            return variant_with<variant, I>(std::get<I>(from));
        }...};
        return makers[winner](tasks);
    };
    co_return pick(std::index_sequence_for<T...>());
}

/// A join for one task, with a time limit.
class limited_join : public join, deadline_node {
public:
    limited_join() noexcept
        : join(rule::first_failure_cancels), deadline_node(&limited_join::limit_passed) {}
    ~limited_join() {
        if (armed()) loop_->remove_deadline(*this);
    }
    void arm(loop_core& loop, time_point when) {
        loop_ = &loop;
        loop.add_deadline(when, *this);
    }
    void disarm() noexcept {
        if (armed()) loop_->remove_deadline(*this);
    }
    bool late() const noexcept { return late_; }

private:
    static void limit_passed(deadline_node& node) noexcept {
        auto& self = static_cast<limited_join&>(node);
        self.late_ = true;
        self.cancel_children();
    }
    loop_core* loop_ = nullptr;
    bool late_ = false;
};

template <class T>
task<T> limited_task(duration span, task<T> t, std::string what = "with_timeout: the task") {
    if (span <= duration::zero()) {
        throw timeout_error(what + " was given no time, so it was not started");
    }
    child_strand child;
    limited_join one;
    add_task(one, child, t);
    one.arm(*this_loop, deadline_after(span));
    co_await one.run();
    one.disarm();
    if (child.how == child_strand::ending::cancelled) {
        if (one.late()) {
            throw timeout_error(
                text("%s ran into its time limit of %g s", what.c_str(), in_seconds(span)));
        }
        one.throw_if_interrupted();
    }
    if constexpr (std::is_void_v<T>) {
        take_value(t);
    } else {
        co_return take_value(t);
    }
}

template <class T>
task<T> shielded_task(task<T> t) {
    child_strand child;
    join one(join::rule::shielded);
    add_task(one, child, t);
    co_await one.run();
    if constexpr (std::is_void_v<T>) {
        take_value(t);
    } else {
        co_return take_value(t);
    }
}

}  // namespace detail

/// Runs them side by side; gives their values in the same order (std::monostate for void). The
/// first that throws cancels the others, which are waited for, and its exception is thrown; what
/// else they throw goes to on_error.
template <class... A>
    requires detail::task_arguments<A...>
auto when_all(A&&... awaited) {
    return detail::all_of(
        std::tuple<task<detail::task_value_t<A>>...>(detail::as_task(std::forward<A>(awaited))...));
}
template <class T>
auto when_all(std::vector<task<T>> tasks) {
    return detail::all_of(std::move(tasks));
}

/// Runs them side by side until the first has ended; the others are cancelled and waited for. Gives
/// a std::variant at the position of the first, or throws what it threw.
template <class... A>
    requires detail::task_arguments<A...>
auto when_any(A&&... awaited) {
    return detail::any_of(
        std::tuple<task<detail::task_value_t<A>>...>(detail::as_task(std::forward<A>(awaited))...));
}

/// Cancels the task after that time, waits until it has ended, and throws timeout_error; but a
/// value that made it, or another exception, counts. A time of zero or less: it is not started; a
/// future that is done gives its value.
template <class Rep, class Period, class A>
    requires detail::can_await<A>
auto with_timeout(std::chrono::duration<Rep, Period> span, A&& awaited) {
    using seconds = std::chrono::duration<long double>;
    auto const limit = seconds(span) > seconds(9e9L) ? duration::max()
                                                     : std::chrono::duration_cast<duration>(span);
    auto inner = [&] {
        if constexpr (detail::is_future_v<A>) {
            if (awaited.done())
                return detail::limited_task(duration::max(),
                                            detail::as_task(std::forward<A>(awaited)));
        }
        return detail::limited_task(limit, detail::as_task(std::forward<A>(awaited)));
    };
    return inner();
}

/// Holds a cancel back until the task has ended: then the next co_await throws it.
template <class A>
    requires detail::can_await<A>
auto shield(A&& awaited) {
    return detail::shielded_task(detail::as_task(std::forward<A>(awaited)));
}

}  // namespace concur::inline v0

// SPDX-License-Identifier: BSL-1.0
// with_task_group: a scope for tasks. It ends when all of them have ended, and not before; the
// first that throws cancels the others, and no failure is lost.
#pragma once

#include <algorithm>
#include <exception>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <concur/detail/event_loop/combine.hpp>
#include <concur/detail/event_loop/join.hpp>
#include <concur/detail/event_loop/submit.hpp>
#include <concur/outcome.hpp>

namespace concur::inline v0 {

class task_group;

namespace detail {
template <class Body>
task<void> run_group(Body body);
}

/// The tasks of one with_task_group. For the loop's thread, while that scope is open.
class task_group {
public:
    task_group(task_group const&) = delete;
    task_group& operator=(task_group const&) = delete;

    /// Runs f(args...) beside the others from its next turn on. f is a coroutine function; it and
    /// its arguments live until the coroutine has ended. A value is dropped. After cancel(), or
    /// after a failure, it never runs.
    template <class F, class... Args>
        requires detail::coroutine_type<typename detail::rules_for<F, Args...>::result_type>
    void start(F&& f, Args&&... args) {
        using call = detail::bound_call<std::decay_t<F>, std::decay_t<Args>...>;
        detail::require_target(f);
        add<call>(call{std::forward<F>(f),
                       std::tuple<std::decay_t<Args>...>(std::forward<Args>(args)...)});
    }
    template <class T>
    void start(task<T> t) {
        add<held_task<T>>(held_task<T>{std::move(t)});
    }

    /// Cancels all of them, the body too; then the scope ends without an exception.
    void cancel() noexcept {
        quiet_ = true;
        all_.cancel_children();
    }

private:
    template <class T>
    struct held_task {
        friend task<T> coroutine_of(held_task& h) { return std::move(h.t); }
        task<T> t;
    };

    template <class Call>
    struct started final : detail::child_strand {
        using task_type = decltype(coroutine_of(std::declval<Call&>()));
        explicit started(Call&& c) : call(std::move(c)), coroutine(coroutine_of(call)) {
            free = [](child_strand& self) noexcept { delete static_cast<started*>(&self); };
        }
        Call call;
        task_type coroutine;
    };

    template <class Call>
    void add(Call&& call) {
        auto child = std::make_unique<started<std::remove_cvref_t<Call>>>(std::move(call));
        detail::add_task(all_, *child, child->coroutine);
        static_cast<void>(child.release());
    }

    task_group() noexcept { all_.keep_failures_in(later_failures_); }
    [[gnu::cold]] void throw_failure() const;
    template <class Body>
    friend task<void> detail::run_group(Body body);

    detail::join all_{detail::join::rule::first_failure_cancels};
    std::vector<std::exception_ptr> later_failures_;
    bool quiet_ = false;
};

inline void task_group::throw_failure() const {
    if (later_failures_.empty()) std::rethrow_exception(all_.failure());
    std::vector<std::exception_ptr> errors{all_.failure()};
    errors.insert(errors.end(), later_failures_.begin(), later_failures_.end());
    auto what = detail::text("%zu tasks of a task_group failed", errors.size());
    constexpr std::size_t most = 8;  // in the text
    for (std::size_t i = 0; i < std::min(errors.size(), most); ++i) {
        what += (i == 0 ? ": " : "; ") + detail::text_of(errors[i]);
    }
    if (errors.size() > most) what += "; ...";
    throw task_group_error(what, std::move(errors));
}

namespace detail {

template <class Body>
task<void> run_group(Body body) {
    task_group group;
    auto main = body(group);
    child_strand child;
    add_task(group.all_, child, main);
    co_await group.all_.run();
    if (group.all_.failure()) group.throw_failure();
    if (group.all_.any_cancelled()) group.all_.throw_if_interrupted();
    if (!group.quiet_) take_value(main);
}

/// body(group, args...), kept.
template <class Body, class... Args>
struct group_body {
    auto operator()(task_group& group) {
        auto const run = [&](Args&... arg) {
            return to_task(call(body, group, std::move(arg)...));
        };
        return std::apply(run, args);
    }
    Body body;
    std::tuple<Args...> args;
};

}  // namespace detail

/// Runs body(group, args...), a coroutine function, and everything that it starts in the group, to
/// the end. The first that throws, body included, cancels the others, and its exception is thrown
/// after they have ended. If others fail too, while they clean up, a task_group_error that holds
/// all the failures is thrown instead. A cancel from outside reaches all.
template <class Body, class... Args>
auto with_task_group(Body&& body, Args&&... args) {
    static_assert(std::is_invocable_v<std::decay_t<Body>&, task_group&, std::decay_t<Args>...>,
                  "with_task_group(body, args...): body cannot be called as body(group, args...)");
    return detail::run_group(detail::group_body<std::decay_t<Body>, std::decay_t<Args>...>{
        std::forward<Body>(body), std::tuple<std::decay_t<Args>...>(std::forward<Args>(args)...)});
}

}  // namespace concur::inline v0

// SPDX-License-Identifier: BSL-1.0
// The verbs of every executor, written once. A class derives from executor_verbs<itself> and has a
// core() that gives its executor_core; nothing more is needed.
#pragma once

#include <utility>

#include <concur/detail/verbs/submit.hpp>
#include <concur/executor.hpp>

namespace concur::inline v0::detail {

template <class Executor>
class executor_verbs {
public:
    /// Runs f(args...) once on some worker and gives the future of what it returns.
    ///
    /// f, args   are moved or copied in once; wrap in std::ref to share the original. Futures are
    ///           awaited: the task starts once they hold values, gets those, and holds no worker
    ///           meanwhile. If f takes a std::stop_token in front, it gets one.
    /// Order     tasks of one outside thread start in the order submitted; `priority` goes before.
    /// Blocks    only while `max_pending` tasks wait (default: never).
    /// Throws    executor_shut_down, broken_executor. What f throws waits in the future.
    /// Threads   any, also inside a task.
    /// Cost      one allocation, from a cache; at most one wake-up.
    /// Hazard    a task that refers to your locals must be waited for before they die.
    template <class F, class... Args>
        requires(!std::same_as<std::remove_cvref_t<F>, task_options>)
    [[nodiscard]] auto submit(F&& f, Args&&... args) {
        if constexpr (check_submit<F, Args...>()) {
            using result = typename rules_for<F, Args...>::result_type;
            return future_access::make<result>(
                state_ref(&start_task<result_use::kept, false>(core(), nullptr, std::forward<F>(f),
                                                               std::forward<Args>(args)...)));
        }
    }
    template <class F, class... Args>
    [[nodiscard]] auto submit(task_options options, F&& f, Args&&... args) {
        if constexpr (check_submit<F, Args...>()) {
            using result = typename rules_for<F, Args...>::result_type;
            require_valid(options);
            return future_access::make<result>(
                state_ref(&start_task<result_use::kept, true>(core(), &options, std::forward<F>(f),
                                                              std::forward<Args>(args)...)));
        }
    }

    /// The same without a future: what f throws goes to on_error.
    template <class F, class... Args>
        requires(!std::same_as<std::remove_cvref_t<F>, task_options>)
    void post(F&& f, Args&&... args) {
        if constexpr (check_submit<F, Args...>()) {
            start_task<result_use::reported, false>(core(), nullptr, std::forward<F>(f),
                                                    std::forward<Args>(args)...);
        }
    }
    template <class F, class... Args>
    void post(task_options options, F&& f, Args&&... args) {
        if constexpr (check_submit<F, Args...>()) {
            require_valid(options);
            start_task<result_use::reported, true>(core(), &options, std::forward<F>(f),
                                                   std::forward<Args>(args)...);
        }
    }

private:
    auto& core() noexcept { return static_cast<Executor*>(this)->core(); }
};

}  // namespace concur::inline v0::detail

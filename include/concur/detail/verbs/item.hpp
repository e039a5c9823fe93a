// SPDX-License-Identifier: BSL-1.0
// One item of a map or loop: what it may ask about itself, and its time limit.
#pragma once

#include <atomic>
#include <string>
#include <type_traits>
#include <utility>

#include <concur/detail/sync/timer.hpp>
#include <concur/detail/task/job.hpp>
#include <concur/executor.hpp>

namespace concur::inline v0::detail {

struct stop_point_call {
    static constexpr std::size_t tasks = 0;
    void operator()() && {}
};

/// A state that is only there to be asked to stop.
inline state_ref make_stop_point() {
    return state_ref(&job<stop_point_call, void, false>::make(nullptr, not_ready, 1,
                                                              [] { return stop_point_call{}; }));
}

/// Asks a stop point, as what follows a timer: stop callbacks are user code.
inline timer_follow_up ask_later(state& stop) noexcept {
    stop.retain();
    return {[](void* point) noexcept {
                state_ref const held(static_cast<state*>(point));
                stop_registry::ask(*held);
            },
            &stop};
}

// Protocol [limit]
// phase: running, then by one exchange each: returned (the item was in time) or expired (its timer
// was first and has asked it to stop). The first exchange decides.
class item_limit final : timer_target {
public:
    /// Calls f() as the item that the calling thread runs, with a time limit. It is asked to stop
    /// when that passes; timeout_error is thrown after f has returned or thrown too late.
    template <class F>
    static std::invoke_result_t<F> call(duration limit, F&& f) {
        task_context const& item = *this_task_context;
        state_ref const stop = make_stop_point();
        item_limit watch(*stop, limit, item.position);
        task_scope scope(*stop, item.seed, item.name, true);
        scope.context().position = item.position;
        scoped_timer const timer(deadline_after(limit), &watch);
        try {
            if constexpr (std::is_void_v<std::invoke_result_t<F>>) {
                std::forward<F>(f)();
                watch.require_in_time();
            } else {
                decltype(auto) value = std::forward<F>(f)();
                watch.require_in_time();
                return static_cast<std::invoke_result_t<F>>(std::forward<decltype(value)>(value));
            }
        } catch (...) {
            watch.require_in_time();  // what it threw because it was asked to stop gives way
            throw;
        }
    }

private:
    static constexpr int running = 0, returned = 1, too_late = 2;

    item_limit(state& stop, duration limit, item_position position)
        : stop_(stop), limit_(limit), position_(position) {}

    void require_in_time() {
        int expected = running;
        if (phase_.compare_exchange_strong(expected, returned) || expected == returned) return;
        throw timeout_error(text("item %zu ran into its time limit of %g s",
                                 static_cast<std::size_t>(position_), in_seconds(limit_)));
    }

    timer_follow_up expired() noexcept override {
        int expected = running;
        return phase_.compare_exchange_strong(expected, too_late) ? ask_later(stop_)
                                                                  : timer_follow_up{};
    }

    state& stop_;
    duration limit_;
    item_position position_;
    std::atomic<int> phase_{running};
};

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// sleep_for, sleep_until, yield: waiting for the clock, without a timer each.
#pragma once

#include <chrono>
#include <coroutine>

#include <concur/detail/event_loop/task.hpp>

namespace concur::inline v0 {

namespace detail {

class sleep_awaiter : suspension, deadline_node {
public:
    explicit sleep_awaiter(time_point when) noexcept
        : suspension(kind), deadline_node(&sleep_awaiter::over), when_(when) {}
    sleep_awaiter(sleep_awaiter const&) = delete;
    sleep_awaiter& operator=(sleep_awaiter const&) = delete;
    ~sleep_awaiter() {
        if (armed()) who->on->core->remove_deadline(*this);
    }

    bool await_ready() const noexcept { return false; }
    template <std::derived_from<promise_base> Promise>
    bool await_suspend(std::coroutine_handle<Promise> h) {
        promise_base& head = h.promise();
        if (!enter(head)) return false;
        head.on->core->add_deadline(when_, *this);
        return true;
    }
    void await_resume() const { throw_if_cancelled(); }

private:
    static void over(deadline_node& node) noexcept { static_cast<sleep_awaiter&>(node).wake(); }
    static void interrupted(suspension& s) noexcept {
        auto& self = static_cast<sleep_awaiter&>(s);
        self.who->on->core->remove_deadline(self);
        self.wake_cancelled();
    }
    static constexpr ready_ops kind{&run_node, &interrupted, "a time"};

    time_point when_;
};

class yield_awaiter : suspension {
public:
    yield_awaiter() noexcept : suspension(kind) {}
    bool await_ready() const noexcept { return false; }
    template <std::derived_from<promise_base> Promise>
    bool await_suspend(std::coroutine_handle<Promise> h) noexcept {
        promise_base& head = h.promise();
        if (!enter(head)) return false;
        wake();
        return true;
    }
    void await_resume() const { throw_if_cancelled(); }

private:
    // Never asked: it is never waiting, only ready.
    static void interrupted(suspension&) noexcept {}
    static constexpr ready_ops kind{&run_node, &interrupted, "its turn"};
};

struct sleep_request : own_awaitable {
    explicit sleep_request(time_point w) noexcept : when(w) {}
    sleep_awaiter make_awaiter() const noexcept { return sleep_awaiter(when); }
    time_point when;
};
struct yield_request : own_awaitable {
    yield_awaiter make_awaiter() const noexcept { return {}; }
};

}  // namespace detail

/// Waits that long, at least until everything that is ready has had its turn. Cancellable.
///
/// Cost   16 bytes and O(log n); no timer.
template <class Rep, class Period>
auto sleep_for(std::chrono::duration<Rep, Period> span) noexcept {
    using seconds = std::chrono::duration<long double>;
    return detail::sleep_request(
        seconds(span) > seconds(9e9L)
            ? detail::time_point::max()
            : detail::deadline_after(std::chrono::duration_cast<duration>(span)));
}

/// Waits until then, by any clock; one that is set while it waits is not followed.
template <class Clock, class Span>
auto sleep_until(std::chrono::time_point<Clock, Span> when) noexcept {
    if constexpr (std::is_same_v<Clock, detail::steady_clock>) {
        return detail::sleep_request(std::chrono::time_point_cast<duration>(when));
    } else {
        return sleep_for(when - Clock::now());
    }
}

/// Lets everything else that is ready go first.
inline auto yield() noexcept { return detail::yield_request(); }

}  // namespace concur::inline v0

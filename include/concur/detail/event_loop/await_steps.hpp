// SPDX-License-Identifier: BSL-1.0
// co_await completed.next(): the next of as_completed() or of a map's results, without blocking the
// loop. Gives a pointer, null at the end.
#pragma once

#include <coroutine>
#include <utility>

#include <concur/as_completed.hpp>
#include <concur/detail/event_loop/task.hpp>
#include <concur/detail/sync/wake_spot.hpp>
#include <concur/map.hpp>

namespace concur::inline v0::detail {

template <class Step>
concept range_step = requires(Step const& s) {
    { s.spot() } -> std::same_as<wake_spot&>;
    { s.deadline() } -> std::same_as<time_point>;
    s.take();
};

template <range_step Step>
class step_awaiter : suspension, wake_hook, deadline_node {
public:
    explicit step_awaiter(Step s) noexcept
        : suspension(kind), wake_hook(&called), deadline_node(&late), step_(s) {}
    ~step_awaiter() {
        if (suspended_) end_wait();
    }

    bool await_ready() { return step_.ready(); }
    template <std::derived_from<promise_base> Promise>
    bool await_suspend(std::coroutine_handle<Promise> h) {
        promise_base& head = h.promise();
        if (!enter(head)) return false;
        loop_core& loop = *head.on->core;
        step_.spot().leave_hook(*this);
        // It may have come meanwhile; if its bringer has the hook, it calls.
        if (step_.ready() && step_.spot().take_back()) {
            leave();
            return false;
        }
        suspended_ = true;
        loop.add_foreign_wait();
        remote_cores::attend_all();  // the loop does not read replies for those it has no state of
        if (step_.deadline() != time_point::max()) loop.add_deadline(step_.deadline(), *this);
        return true;
    }
    auto await_resume() {
        if (std::exchange(suspended_, false)) end_wait();
        throw_if_cancelled();
        return step_.take();
    }

private:
    void end_wait() noexcept {
        loop_core& loop = *who->on->core;
        loop.remove_foreign_wait();
        if (armed()) loop.remove_deadline(*this);
    }
    static void called(wake_hook& h) noexcept {
        auto& self = static_cast<step_awaiter&>(h);
        self.who->on->core->wake_from_anywhere(self);
    }
    static void late(deadline_node& node) noexcept {
        auto& self = static_cast<step_awaiter&>(node);
        self.late_ = true;
        if (self.step_.spot().take_back()) self.wake();
    }
    /// Somebody brought something, but perhaps not what comes next in order.
    static void woken(ready_node& node) {
        auto& self = static_cast<step_awaiter&>(node);
        self.leave();
        if (!self.cancelled && !self.late_ && !self.step_.ready() && self.enter(*self.who)) {
            self.step_.spot().leave_hook(self);
            if (!self.step_.ready() || !self.step_.spot().take_back()) return;
            self.leave();
        }
        self.resume();
    }
    static void interrupted(suspension& s) noexcept {
        auto& self = static_cast<step_awaiter&>(s);
        if (self.step_.spot().take_back()) self.wake_cancelled();
    }
    static constexpr ready_ops kind{&woken, &interrupted, "the next of several futures"};

    Step step_;
    bool suspended_ = false;
    bool late_ = false;
};

template <range_step Step>
struct await_adaptor<Step> {
    static constexpr bool accepted = true;
    static auto adapt(Step const& s) { return step_awaiter<Step>(s); }
};

}  // namespace concur::inline v0::detail

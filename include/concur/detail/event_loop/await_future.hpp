// SPDX-License-Identifier: BSL-1.0
// co_await of a future of any executor: a waiter on its state, and no thread in between.
#pragma once

#include <coroutine>
#include <future>
#include <utility>

#include <concur/detail/event_loop/task.hpp>
#include <concur/future.hpp>

namespace concur::inline v0::detail {

/// Waits until a state is done. `Owned`: a cancelled wait also cancels the task, or asks it to
/// stop. It does not wait for a task that is running: what that uses must outlive it.
class state_wait : suspension, waiter {
public:
    state_wait(state_ref s, bool owned)
        : suspension(kind),
          waiter(waiter::when::under_lock, &state_wait::state_done),
          state_(std::move(s)),
          owned_(owned) {
        if (!state_) throw std::future_error(std::future_errc::no_state);
    }
    ~state_wait() {
        if (linked_) unlink();
    }

    bool done() const noexcept { return state_->done(); }
    bool suspend(promise_base& head) {
        require_reachable(*state_);
        if (!enter(head)) return false;
        linked_ = true;
        foreign_ = state_->owner != head.on->core;
        if (foreign_) head.on->core->add_foreign_wait();
        if (state_->ops->attend) remote_ = head.on->core->await_remote(*state_);
        if (state_->add_waiter(*this)) return true;
        unlink();
        leave();
        return false;
    }
    /// Afterwards nobody calls this waiter any more.
    void resumed() {
        if (linked_) unlink();
        throw_if_cancelled();
    }

private:
    void unlink() noexcept {
        linked_ = false;
        state_->remove_waiter(*this);
        if (foreign_) who->on->core->remove_foreign_wait();
        if (remote_) who->on->core->remote().remove(std::exchange(remote_, nullptr));
    }
    static void state_done(waiter& w) noexcept {
        auto& self = static_cast<state_wait&>(w);
        self.told_ = true;
        self.who->on->core->wake_from_anywhere(self);
    }
    static void woken(ready_node& node) {
        auto& self = static_cast<state_wait&>(node);
        if (self.who->on->waiting == &self) self.leave();
        self.resume();
    }
    static void interrupted(suspension& s) noexcept {
        auto& self = static_cast<state_wait&>(s);
        self.state_->remove_waiter(self);
        if (self.told_) return;  // its wake-up is on the way, and the value counts
        if (self.owned_ && !cancel_task(*self.state_)) ask_to_stop(*self.state_);
        self.wake_cancelled();
    }
    static constexpr ready_ops kind{&woken, &interrupted, "a future"};

    state_ref const state_;
    bool const owned_;
    remote_core* remote_ = nullptr;
    bool linked_ = false;
    bool foreign_ = false;
    bool told_ = false;  // under the lock of the state
};

template <class Future>
class future_awaiter {
public:
    future_awaiter(Future f, bool owned)
        : future_(std::move(f)), wait_(state_ref_of(future_), owned) {}

    bool await_ready() const noexcept { return wait_.done(); }
    template <std::derived_from<promise_base> Promise>
    bool await_suspend(std::coroutine_handle<Promise> h) {
        return wait_.suspend(h.promise());
    }
    decltype(auto) await_resume() {
        wait_.resumed();
        return future_.get();
    }

private:
    static state_ref state_ref_of(Future const& f) {
        auto* const s = future_access::state_in(f);
        return s ? state_ref::share(*s) : state_ref();
    }
    Future future_;
    state_wait wait_;
};

template <class T>
struct await_adaptor<future<T>> {
    static constexpr bool accepted = true;
    static auto adapt(future<T>&& f) { return future_awaiter<future<T>>(std::move(f), true); }
    template <class U>
    static std::suspend_never adapt(U&) {
        static_assert(!std::is_same_v<std::remove_cv_t<U>, future<T>>,
                      "co_await of a future that has a name: it is read once, so std::move it, or "
                      "share() it");
        return {};
    }
};

template <class T>
struct await_adaptor<shared_future<T>> {
    static constexpr bool accepted = true;
    static auto adapt(shared_future<T> f) {
        return future_awaiter<shared_future<T>>(std::move(f), false);
    }
};

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// Calls a function at a time, unless it is told otherwise before: the clock behind task time-outs.
// One thread for the whole program, started by the first timer and gone soon after the last.
// Any thread may call. Cost: a lock per timer; nothing when no time-outs are used.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include <concur/detail/base/config.hpp>
#include <concur/detail/base/linux.hpp>

namespace concur::inline v0::detail {

/// What is left to do when a timer's target may be gone already.
struct timer_follow_up {
    void (*call)(void*) noexcept = nullptr;
    void* argument = nullptr;
};

/// What a timer calls. expired() only decides: disarm() waits for it. User code belongs into the
/// follow-up, which nobody waits for; while it runs, other timers are late.
class timer_target {
public:
    virtual timer_follow_up expired() noexcept = 0;

protected:
    ~timer_target() = default;
};

class timer_service {
public:
    struct entry {
        time_point when;
        timer_target* target;
        entry* next = nullptr;
        bool waiting = false;  // in the list
    };

    static timer_service& instance() {
        // Leaked on purpose: timers may outlive static destructors. A child of fork() gets its own:
        // the parent's lock may be held, and its thread is not there.
        static std::atomic<timer_service*> current{new timer_service};
        timer_service* service = current.load();
        if (forked_since(service->generation_)) {
            auto* const fresh = new timer_service;
            if (current.compare_exchange_strong(service, fresh)) return *fresh;
            delete fresh;
        }
        return *service;
    }

    void arm(entry& e) {
        std::lock_guard const lock(mutex_);
        if (!thread_runs_) {
            std::thread([this] { run(); }).detach();
            thread_runs_ = true;
        }
        // In order. The list is short: only tasks that run have timers.
        entry** place = &first_;
        while (*place && (*place)->when <= e.when) place = &(*place)->next;
        e.next = std::exchange(*place, &e);
        e.waiting = true;
        if (first_ == &e) wake_.notify_one();
    }

    /// Afterwards the target is not called any more, and no call of it is under way.
    void disarm(entry& e) noexcept {
        std::unique_lock lock(mutex_);
        if (e.waiting) return remove(e);
        finished_.wait(lock, [&] { return calling_ != &e; });
    }

private:
    timer_service() : generation_(fork_generation()) {}

    void remove(entry& e) noexcept {
        entry** place = &first_;
        while (*place != &e) place = &(*place)->next;
        *place = e.next;
        e.waiting = false;
    }

    void run() noexcept {
        name_thread("concur timer");
        std::unique_lock lock(mutex_);
        for (;;) {
            if (!first_) {
                // Lingers, so that a stream of short tasks with time-outs starts one thread only.
                if (wake_.wait_for(lock, linger, [this] { return first_ != nullptr; })) continue;
                thread_runs_ = false;
                return;
            }
            auto const when = first_->when;  // the entry may go while this sleeps
            if (steady_clock::now() < when) {
                wake_.wait_until(lock, when);
                continue;
            }
            entry& e = *first_;
            remove(e);
            calling_ = &e;
            lock.unlock();
            auto const rest = e.target->expired();
            lock.lock();
            calling_ = nullptr;
            finished_.notify_all();
            if (!rest.call) continue;
            lock.unlock();
            rest.call(rest.argument);
            lock.lock();
        }
    }

    static constexpr auto linger = std::chrono::milliseconds(50);

    std::mutex mutex_;
    std::condition_variable wake_;
    std::condition_variable finished_;
    entry* first_ = nullptr;
    entry const* calling_ = nullptr;
    bool thread_runs_ = false;
    std::uint32_t const generation_;
};

/// A timer for the length of a scope; without a target or a limit it is nothing at all.
class scoped_timer {
public:
    scoped_timer(time_point when, timer_target* target) : entry_{when, target} {
        armed_ = target && when != time_point::max();
        if (!armed_) return;
        service_ = &timer_service::instance();
        service_->arm(entry_);
    }
    scoped_timer(scoped_timer const&) = delete;
    scoped_timer& operator=(scoped_timer const&) = delete;
    ~scoped_timer() {
        if (armed_) service_->disarm(entry_);
    }

private:
    timer_service::entry entry_;
    timer_service* service_ = nullptr;
    bool armed_;
};

}  // namespace concur::inline v0::detail

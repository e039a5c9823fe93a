// SPDX-License-Identifier: BSL-1.0
// Calls a function at a time, unless it is told otherwise before: the clock behind task time-outs.
// One thread for the whole program, started by the first timer and gone soon after the last.
// Any thread may call. Cost: a lock and a tree node per timer; nothing when no time-outs are used.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include <concur/detail/base/config.hpp>
#include <concur/detail/base/linux.hpp>

namespace concur::inline v0::detail {

/// What a timer calls: never throwing, and may not disarm its own timer.
class timer_target {
public:
    virtual void expired() noexcept = 0;

protected:
    ~timer_target() = default;
};

class timer_service {
public:
    using ticket = std::pair<time_point, std::uint64_t>;

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

    ticket arm(time_point when, timer_target& target) {
        std::unique_lock lock(mutex_);
        ticket const t{when, ++last_};
        bool const earliest = timers_.empty() || t < timers_.begin()->first;
        timers_.emplace(t, &target);
        if (!thread_runs_) {
            try {
                std::thread([this] { run(); }).detach();
            } catch (...) {
                timers_.erase(t);
                throw;
            }
            thread_runs_ = true;
        } else if (earliest) {
            wake_.notify_one();
        }
        return t;
    }

    /// Afterwards the target is not called any more, and no call of it is under way.
    void disarm(ticket const& t) noexcept {
        std::unique_lock lock(mutex_);
        if (timers_.erase(t) == 0) {
            finished_.wait(lock, [&] { return calling_ != t.second; });
        }
    }

private:
    timer_service() : generation_(fork_generation()) {}

    void run() noexcept {
        name_thread("concur timer");
        std::unique_lock lock(mutex_);
        for (;;) {
            if (timers_.empty()) {
                // Lingers, so that a stream of short tasks with time-outs starts one thread only.
                if (wake_.wait_for(lock, linger, [this] { return !timers_.empty(); })) continue;
                thread_runs_ = false;
                return;
            }
            auto const [t, target] = *timers_.begin();
            if (steady_clock::now() < t.first) {
                wake_.wait_until(lock, t.first);
                continue;
            }
            timers_.erase(timers_.begin());
            calling_ = t.second;
            lock.unlock();
            target->expired();
            lock.lock();
            calling_ = 0;
            finished_.notify_all();
        }
    }

    static constexpr auto linger = std::chrono::milliseconds(50);

    std::mutex mutex_;
    std::condition_variable wake_;
    std::condition_variable finished_;
    std::map<ticket, timer_target*> timers_;
    std::uint64_t last_ = 0;
    std::uint64_t calling_ = 0;
    bool thread_runs_ = false;
    std::uint32_t const generation_;
};

/// A timer for the length of a scope; without a limit it is nothing at all.
class scoped_timer {
public:
    /// A null target: no timer.
    scoped_timer(time_point when, timer_target* target)
        : armed_(target != nullptr && when != time_point::max()),
          ticket_(armed_ ? timer_service::instance().arm(when, *target)
                         : timer_service::ticket{}) {}
    scoped_timer(scoped_timer const&) = delete;
    scoped_timer& operator=(scoped_timer const&) = delete;
    ~scoped_timer() {
        if (armed_) timer_service::instance().disarm(ticket_);
    }

private:
    bool armed_;
    timer_service::ticket ticket_;
};

}  // namespace concur::inline v0::detail

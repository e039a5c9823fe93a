// SPDX-License-Identifier: BSL-1.0
// async_semaphore, async_mutex, async_event: like those of asyncio. For the coroutines of one loop,
// on its thread; from elsewhere, submit a function that uses them. Waiters are served in order. A
// permit that was given to a coroutine which is then cancelled is not lost: it has it, and the next
// co_await throws.
#pragma once

#include <coroutine>
#include <utility>

#include <concur/detail/event_loop/wait_list.hpp>

namespace concur::inline v0 {

/// A number of permits.
class async_semaphore {
    class acquire_awaiter : detail::wait_place_in_line {
    public:
        explicit acquire_awaiter(async_semaphore& s) noexcept
            : wait_place_in_line(s.waiting_, kind), semaphore_(s) {}
        bool await_ready() const noexcept { return semaphore_.try_acquire(); }
        template <std::derived_from<detail::promise_base> Promise>
        bool await_suspend(std::coroutine_handle<Promise> h) noexcept {
            return semaphore_.waiting_.join(*this, h.promise());
        }
        void await_resume() const { throw_if_cancelled(); }

    private:
        static constexpr detail::ready_ops kind{&run_node, &interrupted, "an async_semaphore"};
        async_semaphore& semaphore_;
    };
    struct acquire_request : detail::own_awaitable {
        explicit acquire_request(async_semaphore& s) noexcept : semaphore(s) {}
        acquire_awaiter make_awaiter() const noexcept { return acquire_awaiter(semaphore); }
        async_semaphore& semaphore;
    };

public:
    explicit async_semaphore(std::size_t permits) noexcept : permits_(permits) {}

    /// co_await it: waits for a permit and takes it. Cancellable.
    auto acquire() noexcept { return acquire_request(*this); }
    bool try_acquire() noexcept {
        if (permits_ == 0) return false;  // those who wait are served as soon as there is one
        --permits_;
        return true;
    }
    /// Gives a permit to the first who waits, or keeps it.
    void release() {
        if (!waiting_.wake_first()) ++permits_;
    }
    std::size_t available() const noexcept { return permits_; }

private:
    std::size_t permits_;
    detail::wait_list waiting_;
};

/// One coroutine at a time.
class async_mutex {
public:
    /// Unlocks when it goes.
    class [[nodiscard]] guard {
    public:
        guard(guard&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
        guard& operator=(guard&& other) noexcept {
            guard(std::move(other)).swap(*this);
            return *this;
        }
        ~guard() { unlock(); }
        void swap(guard& other) noexcept { std::swap(mutex_, other.mutex_); }
        void unlock() {
            if (auto* const m = std::exchange(mutex_, nullptr)) m->unlock();
        }

    private:
        friend class async_mutex;
        explicit guard(async_mutex& m) noexcept : mutex_(&m) {}
        async_mutex* mutex_;
    };

private:
    class lock_awaiter : detail::wait_place_in_line {
    public:
        explicit lock_awaiter(async_mutex& m) noexcept
            : wait_place_in_line(m.waiting_, kind), mutex_(m) {}
        bool await_ready() const noexcept { return !std::exchange(mutex_.locked_, true); }
        template <std::derived_from<detail::promise_base> Promise>
        bool await_suspend(std::coroutine_handle<Promise> h) noexcept {
            return mutex_.waiting_.join(*this, h.promise());
        }
        guard await_resume() const {
            throw_if_cancelled();
            return guard(mutex_);
        }

    private:
        static constexpr detail::ready_ops kind{&run_node, &interrupted, "an async_mutex"};
        async_mutex& mutex_;
    };
    struct lock_request : detail::own_awaitable {
        explicit lock_request(async_mutex& m) noexcept : mutex(m) {}
        lock_awaiter make_awaiter() const noexcept { return lock_awaiter(mutex); }
        async_mutex& mutex;
    };

public:
    /// auto lock = co_await mutex.lock(): waits, and gives the guard. Cancellable.
    auto lock() noexcept { return lock_request(*this); }
    bool locked() const noexcept { return locked_; }

private:
    void unlock() {
        if (!waiting_.wake_first()) locked_ = false;  // else it is handed over
    }
    bool locked_ = false;
    detail::wait_list waiting_;
};

/// A flag to wait for.
class async_event {
    class wait_awaiter : detail::wait_place_in_line {
    public:
        explicit wait_awaiter(async_event& e) noexcept
            : wait_place_in_line(e.waiting_, kind), event_(e) {}
        bool await_ready() const noexcept { return event_.set_; }
        template <std::derived_from<detail::promise_base> Promise>
        bool await_suspend(std::coroutine_handle<Promise> h) noexcept {
            return event_.waiting_.join(*this, h.promise());
        }
        void await_resume() const { throw_if_cancelled(); }

    private:
        static constexpr detail::ready_ops kind{&run_node, &interrupted, "an async_event"};
        async_event& event_;
    };
    struct wait_request : detail::own_awaitable {
        explicit wait_request(async_event& e) noexcept : event(e) {}
        wait_awaiter make_awaiter() const noexcept { return wait_awaiter(event); }
        async_event& event;
    };

public:
    /// co_await it: waits until it is set. Cancellable.
    auto wait() noexcept { return wait_request(*this); }
    /// Everybody who waits goes on; so does whoever comes, until clear().
    void set() {
        set_ = true;
        while (waiting_.wake_first()) {
        }
    }
    void clear() noexcept { set_ = false; }
    bool is_set() const noexcept { return set_; }

private:
    bool set_ = false;
    detail::wait_list waiting_;
};

}  // namespace concur::inline v0

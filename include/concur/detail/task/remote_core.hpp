// SPDX-License-Identifier: BSL-1.0
// What an executor brings besides whose workers are other processes: its tasks are encoded, sent
// away, and completed by whoever reads the replies.
#pragma once

#include <mutex>
#include <utility>

#include <concur/detail/task/executor_core.hpp>
#include <concur/detail/task/stop.hpp>

namespace concur::inline v0::detail {

struct block_place;

/// Every member may be called by any thread that holds a reference to the core.
class remote_core : public executor_core {
public:
    using executor_core::executor_core;

    /// Cancels a task that is away if no worker has started it.
    virtual void recall_task(state& task) noexcept = 0;
    /// A worker runs this task, which is away.
    virtual bool has_started(state& task) noexcept = 0;
    /// Lets the worker know that this task was asked to stop.
    virtual void forward_stop(state& task) noexcept = 0;
    /// Reads the replies that have come and sends off what waits. True: something was completed.
    virtual bool progress() noexcept = 0;
    /// The same where it must not take long: large results are left to the executor's own thread.
    virtual bool progress_briefly() noexcept = 0;
    /// Somebody waits who will not call progress(): the executor's own thread has to. Takes no
    /// lock.
    virtual void attend() noexcept = 0;
    /// Readable when replies have come while somebody listens; negative: there is no such thing.
    virtual int reply_event() const noexcept = 0;
    /// `who` is about to sleep until reply_event() is readable, among other things. True: what has
    /// come already was read; until stop_listening(). False: it has called attend() instead.
    virtual bool listen(void const* who) noexcept = 0;
    virtual void stop_listening(void const* who, bool woken) noexcept = 0;
    /// Calls foreign waiters later, on a thread of its own.
    virtual void call_back(waiter* list) noexcept = 0;
    /// Blocks until the task is done or the deadline has passed, reading replies meanwhile.
    virtual void wait_for(state& task, time_point deadline) = 0;
    /// So many tasks, or items of a map, ended in this phase: before anybody is told.
    virtual void count_done(std::uint64_t phase, std::size_t n) noexcept = 0;
    /// A reply that was counted as a value could not be decoded.
    virtual void count_broken_value() noexcept = 0;
    /// Only on the executor's own thread, where a callback waits: does its work for a while.
    virtual void keep_going(time_point until) noexcept = 0;
    /// Memory that the workers see, at a multiple of 64, until free_block(). Throws std::bad_alloc.
    virtual std::byte* allocate_block(std::size_t bytes, block_place& place) = 0;
    virtual void free_block(block_place place) noexcept = 0;

protected:
    ~remote_core() = default;
};

/// Set on an executor's own thread.
CONCUR_API inline constinit thread_local remote_core* this_thread_manages = nullptr;

/// The executor of a remote task, kept alive while this is; null when the task is done.
// The core outlives its tasks, and whoever completes one waits for the state's lock to tell the
// waiters before it lets go of the core: so with the lock held, a state that is not done has one.
class held_core {
public:
    explicit held_core(state& task) noexcept {
        if (!task.lock_unless_done()) return;
        core_ = static_cast<remote_core*>(task.owner);
        core_->retain();
        task.unlock();
    }
    held_core(held_core const&) = delete;
    held_core& operator=(held_core const&) = delete;
    ~held_core() {
        if (core_) core_->release();
    }
    explicit operator bool() const noexcept { return core_ != nullptr; }
    remote_core* operator->() const noexcept { return core_; }
    remote_core* get() const noexcept { return core_; }

private:
    remote_core* core_ = nullptr;
};

/// The remote executors of this program, for threads that wait for several things at once.
class CONCUR_API remote_cores {
public:
    static bool any() noexcept {
        return number.load(std::memory_order_relaxed) != 0;  // [count] a hint
    }

    /// A member of the list for as long as it lives.
    class entry {
    public:
        explicit entry(remote_core& core) : core_(core) {
            std::lock_guard const lock(mutex());
            next_ = std::exchange(first, this);
            number.fetch_add(1);
        }
        entry(entry const&) = delete;
        entry& operator=(entry const&) = delete;
        ~entry() {
            std::lock_guard const lock(mutex());
            auto** place = &first;
            while (*place != this) place = &(*place)->next_;
            *place = next_;
            number.fetch_sub(1);
        }

    private:
        friend class remote_cores;
        remote_core& core_;
        entry* next_;
    };

    /// The calling thread is about to sleep until somebody else completes something.
    static void attend_all() noexcept {
        if (!any()) return;
        std::lock_guard const lock(mutex());
        for (auto* e = first; e; e = e->next_) e->core_.attend();
    }

private:
    // Leaked on purpose: executors may be static.
    static std::mutex& mutex() {
        static auto* const leaked = new std::mutex;
        return *leaked;
    }
    inline static entry* first = nullptr;
    inline static std::atomic<std::size_t> number{0};
};

/// state_ops::attend of remote tasks.
inline void attend_remote(state& task) noexcept { static_cast<remote_core*>(task.owner)->attend(); }

/// state_ops::call_back of remote tasks.
inline void call_back_remote(state& task, waiter* list) noexcept {
    static_cast<remote_core*>(task.owner)->call_back(list);
}

inline void recall(state& task) noexcept {
    if (held_core const core{task}) core->recall_task(task);
}

inline bool started_elsewhere(state& task) noexcept {
    held_core const core(task);
    return core && core->has_started(task);
}

/// Asks a task that may have started; one in another process sees it there.
inline void ask_to_stop(state& task) {
    stop_registry::ask(task);
    if (task.ops->attend) {
        if (held_core const core{task}) core->forward_stop(task);
    }
}

}  // namespace concur::inline v0::detail

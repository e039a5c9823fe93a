// SPDX-License-Identifier: BSL-1.0
// What an executor brings: how a task gets to a worker, and what its workers do while they wait.
// Everything else (submit, map, options, futures) is written once, against this.
#pragma once

#include <cstdio>
#include <exception>
#include <mutex>
#include <utility>

#include <concur/detail/sync/parker.hpp>
#include <concur/detail/task/context.hpp>
#include <concur/detail/task/handler.hpp>
#include <concur/detail/task/state.hpp>
#include <concur/error.hpp>

namespace concur::inline v0::detail {

/// A worker that sleeps inside a task.
struct wait_place {
    state* target;                // what it waits for; null: several things
    bool endless;                 // without a time limit
    parker* sleeper;              // wakes it
    wait_place* next = nullptr;   // in the executor's list
    wait_place* outer = nullptr;  // the wait of the same worker around this one
};

/// How a task ended without a worker: cancelled, or failed because an input did.
enum class unrun : std::uint8_t { cancelled, failed };

/// A member of an executor's list of tasks that wait for inputs.
struct dependent_link {
    dependent_link* next = nullptr;
    dependent_link* previous = nullptr;
    state* task = nullptr;
};

/// The tasks of an executor that wait for inputs, so that its end can cancel them: a ring. Any
/// thread. Whoever adds looks afterwards whether the executor is ending: who ends it may have
/// looked at the list before.
class dependent_list {
public:
    dependent_list() { ring_.next = ring_.previous = &ring_; }
    dependent_list(dependent_list const&) = delete;
    dependent_list& operator=(dependent_list const&) = delete;

    void add(dependent_link& link) {
        std::lock_guard const lock(mutex_);
        link.next = &ring_;
        link.previous = ring_.previous;
        link.previous->next = link.next->previous = &link;
    }
    /// May be called for a link that take() has removed.
    void remove(dependent_link& link) noexcept {
        std::lock_guard const lock(mutex_);
        unlink(link);
    }
    /// Removes a task; null when there is none.
    state_ref take() noexcept {
        std::lock_guard const lock(mutex_);
        dependent_link& link = *ring_.next;
        if (&link == &ring_) return {};
        state_ref task = state_ref::share(*link.task);
        unlink(link);
        return task;
    }

private:
    static void unlink(dependent_link& link) noexcept {
        link.previous->next = link.next;
        link.next->previous = link.previous;
        link.next = link.previous = &link;
    }

    std::mutex mutex_;
    dependent_link ring_;
};

/// Cancels a task that was sent away, if no worker has started it.
void recall(state& task) noexcept;

/// The last resort for an exception: one line on stderr.
[[gnu::cold]] inline void print_unhandled(std::exception_ptr const& problem) noexcept {
    try {
        std::rethrow_exception(problem);
    } catch (std::exception const& e) {
        std::fprintf(stderr, "concur: nobody handles this exception: %s\n", e.what());
    } catch (...) {
        std::fputs("concur: nobody handles this exception of an unknown type\n", stderr);
    }
}

/// Where an executor's on_error can be found while the executor exists: a future may outlive it,
/// and its callback may throw afterwards.
class error_sink {
public:
    [[gnu::cold]] error_sink(void const* core, handler<std::exception_ptr> on_error)
        : core_(core), on_error_(std::move(on_error)) {
        std::lock_guard const lock(list().mutex);
        next_ = std::exchange(list().first, this);
    }
    error_sink(error_sink const&) = delete;
    error_sink& operator=(error_sink const&) = delete;
    [[gnu::cold]] ~error_sink() {
        std::lock_guard const lock(list().mutex);
        auto** place = &list().first;
        while (*place != this) place = &(*place)->next_;
        *place = next_;
    }

    /// Gives an exception to the on_error of that executor; to stderr when there is none.
    [[gnu::cold]] static void report(void const* core, std::exception_ptr const& problem) noexcept {
        auto const on_error = find(core);
        if (!on_error) return print_unhandled(problem);
        try {
            on_error(problem);
        } catch (...) {
            print_unhandled(problem);
            print_unhandled(std::current_exception());
        }
    }

private:
    struct sink_list {
        std::mutex mutex;
        error_sink* first = nullptr;
    };
    static sink_list& list() {
        static auto* const leaked = new sink_list;  // used by static destructors
        return *leaked;
    }
    static handler<std::exception_ptr> find(void const* core) noexcept {
        std::lock_guard const lock(list().mutex);
        for (auto* sink = list().first; sink; sink = sink->next_) {
            if (sink->core_ == core) return sink->on_error_;
        }
        return {};
    }

    void const* const core_;
    handler<std::exception_ptr> const on_error_;
    error_sink* next_;
};

/// The part of an executor that its tasks know. It outlives every task that is not done.
class executor_core {
public:
    explicit executor_core(handler<std::exception_ptr> on_error)
        : sink_(this, std::move(on_error)) {}
    executor_core(executor_core const&) = delete;
    executor_core& operator=(executor_core const&) = delete;

    /// True in a child of fork(): the workers are in the parent, and locks may be held for ever.
    virtual bool inert() const noexcept = 0;
    /// Announces one job to come. Throws when the executor takes no more. `may_wait`: block while
    /// max_pending jobs wait.
    virtual void admit(bool may_wait) = 0;
    /// Hands over a ready task and the reference of its way to the worker.
    virtual void enqueue(state& task) noexcept = 0;
    /// An admitted job was decided without a worker: count its tasks, before anybody is told.
    virtual void count_unrun(std::size_t tasks, unrun how) noexcept = 0;
    /// A job that was decided without a worker gives its place in the queue up, before anybody is
    /// told: who is told may submit, and wait for that place.
    virtual void leave_queue() noexcept = 0;
    /// The last thing that is done with the executor on behalf of that job.
    virtual void retire_unrun() noexcept = 0;
    /// Keeps the memory of the core: a task that waits for inputs may be decided by others, and its
    /// executor be gone, when the last input comes.
    virtual void retain() noexcept = 0;
    virtual void release() noexcept = 0;

    /// The calling thread is a worker of this executor: run one piece of work that `target` waits
    /// for. False: there is none at the moment.
    virtual bool help(state& target) = 0;
    /// The calling worker is about to sleep; new work may wake it. Throws would_deadlock.
    virtual void begin_wait(wait_place& wait) = 0;
    virtual void end_wait(wait_place& wait) noexcept = 0;

    /// For jobs that are no tasks: the parts of a map or loop. Like admit().
    virtual void admit_internal(bool may_wait) = 0;
    /// Throws what admit() would throw.
    virtual void require_open() = 0;
    /// The items of a map or loop, for the statistics: all that are to come, and those that never
    /// will.
    virtual void count_items(std::size_t n) noexcept = 0;
    virtual void count_unrun_items(std::size_t n) noexcept = 0;
    virtual std::size_t workers() const noexcept = 0;
    /// Chunks that a lazy map keeps under way when no window is given.
    virtual std::size_t chunks_in_flight() const noexcept = 0;
    /// A free place among the workers for the calling thread, which is none of them. False: no.
    virtual bool lend_place(worker_context& place) noexcept = 0;
    virtual void return_place(worker_context& place) noexcept = 0;

    virtual void add_dependent(dependent_link& link) = 0;
    virtual void remove_dependent(dependent_link& link) noexcept = 0;

protected:
    ~executor_core() = default;

private:
    error_sink const sink_;
};

/// The calling thread's place among the workers of this executor; null when it is none of them.
inline worker_context* place_in(executor_core const& core) noexcept {
    auto* place = this_worker_context;
    while (place && place->core != &core) place = place->outer;
    return place;
}

/// The calling thread as a participant in a loop: as the worker that it is, or in the place of one
/// that has nothing to do. It counts as a job, so that the executor does not end meanwhile.
class caller_place {
public:
    /// Throws what admit() throws.
    explicit caller_place(executor_core& core) : core_(core) {
        core.admit_internal(false);
        if (auto const* const own = place_in(core)) {
            place_ = *own;
        } else if (core.lend_place(place_)) {
            lent_ = true;
        } else {
            return;
        }
        held_ = true;
        place_.outer = this_worker_context;
        this_worker_context = &place_;
    }
    caller_place(caller_place const&) = delete;
    caller_place& operator=(caller_place const&) = delete;
    ~caller_place() {
        give_back();
        core_.leave_queue();
        core_.retire_unrun();
    }

    /// Ends the part in the loop, not the admission.
    void give_back() noexcept {
        if (std::exchange(held_, false)) this_worker_context = place_.outer;
        if (std::exchange(lent_, false)) core_.return_place(place_);
    }

    bool held() const noexcept { return held_; }

private:
    executor_core& core_;
    worker_context place_{};
    bool lent_ = false;
    bool held_ = false;
};

/// Gives the exception in flight to the executor's on_error: what post(), callbacks and destructors
/// throw. The executor may be gone.
inline void report_current(executor_core const* core) noexcept {
    error_sink::report(core, std::current_exception());
}

/// Before the executor of a task is let go that was decided without publish(): whoever holds the
/// lock to look at the executor, or to take a reference to it as held_core does, gets that far.
inline void pass_lock(state& task) noexcept {
    task.lock();
    task.unlock();
}

/// Throws in a child of fork() when the task can never be done there.
// The executor is only there for certain while the lock is held and the state is not done: whoever
// decides it passes the lock before it lets go of the executor.
inline void require_reachable(state& task) {
    if (!forked_since(0) || !task.owner) return;
    bool unreachable = false;
    if (task.lock_unless_done()) {
        unreachable = task.owner->inert();
        task.unlock();
    } else {
        unreachable = !task.done();  // locked for ever, by a thread that is not here
    }
    if (unreachable) {
        throw broken_executor("this future belongs to an executor that was made before a fork()");
    }
}

/// Cancels a task that has not started. True: it is cancelled now, or was before.
inline bool cancel_task(state& task) noexcept {
    if (!task.cancel()) {
        if (task.look() & away) recall(task);
        return phase_of(task.look()) == phase_cancelled;
    }
    executor_core* const core = task.owner;
    if (core) core->leave_queue();
    try {
        task.ops->drop(task);
    } catch (...) {
        report_current(core);
    }
    if (core) {
        core->count_unrun(task.ops->tasks, unrun::cancelled);
        // Nobody locks it from now on to look at the executor.
        if (task.ops->attend || (task.look() & list_locked)) pass_lock(task);
        core->retire_unrun();
    }
    // Last, for callbacks may wait until the executor is idle. It may be gone: they do not need it.
    task.tell();
    return true;
}

}  // namespace concur::inline v0::detail

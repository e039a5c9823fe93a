// SPDX-License-Identifier: BSL-1.0
// The state behind a task and its future: one block that is queue link, callable, result and
// waiter list at once. Everything that decides what becomes of a task goes through its one word.
// Cost: a task without options or large captures fills one cache line.
#pragma once

#include <atomic>
#include <exception>
#include <utility>

#include <concur/detail/base/chaos.hpp>
#include <concur/detail/base/config.hpp>
#include <concur/detail/base/linux.hpp>
#include <concur/detail/sync/injection_queue.hpp>

namespace concur::inline v0::detail {

class executor_core;
class state;
class input_list;
struct task_extras;
struct remote_ops;
struct waiter;

/// What differs between kinds of tasks: a table per type.
struct state_ops {
    void (*run)(state&);   ///< claimed by the caller: calls, stores, publishes, releases
    void (*drop)(state&);  ///< claimed by the caller, will not run: frees the callable
    void (*destroy)(state&) noexcept;  ///< no references left: frees the result and the memory
    input_list* (*inputs)(state&) noexcept;   ///< null: waits for no other state
    task_extras* (*extras)(state&) noexcept;  ///< null: submitted without options
    std::size_t tasks;                        ///< how many tasks it counts for in statistics
    bool reports;                             ///< failures go to on_error: there is no future
    /// A task that runs was asked to stop, and is not one that looks by itself: a coroutine. Any
    /// thread that holds a reference.
    void (*asked)(state&) noexcept = nullptr;
    // Of tasks that run in another process, else null:
    remote_ops const* remote = nullptr;  ///< how the call travels
    /// Somebody waits who will not look himself, so the executor has to; called with the state
    /// locked and not done.
    void (*attend)(state&) noexcept = nullptr;
    /// Has these foreign waiters called, on the executor's own thread.
    void (*call_back)(state&, waiter* list) noexcept = nullptr;
};

/// Whoever wants to know that a state is done: a node in the state's list, linked by the waiter.
struct waiter {
    /// under_lock: called with the list locked, so must be short and take no lock but its own; may
    /// be unlinked before. after_lock: called later, cannot be unlinked. foreign: likewise, and it
    /// calls user code, which may do anything.
    enum class when : std::uint8_t { under_lock, after_lock, foreign };

    waiter(when moment, void (*call)(waiter&) noexcept) : notify(call), call_when(moment) {}
    waiter(waiter const&) = delete;
    waiter& operator=(waiter const&) = delete;

    waiter* next = nullptr;
    waiter* previous = nullptr;  // of the first waiter: the last one
    void (*notify)(waiter&) noexcept;
    when call_when;
    bool linked = false;

protected:
    ~waiter() = default;
};

// The word of a state: phase | flags | runner | references.
enum : std::uint64_t {
    phase_mask = 7,
    phase_pending = 0,
    phase_running = 1,
    phase_value = 2,      // done, a value stands in the storage
    phase_error = 3,      // done, an exception does
    phase_cancelled = 4,  // done, nothing does: get() throws task_cancelled
    has_waiters = 1u << 3,
    list_locked = 1u << 4,
    stop_asked = 1u << 5,
    stop_watched = 1u << 6,  // a stop_source hangs in the stop registry
    not_ready = 1u << 7,     // pending on inputs or on a promise: nobody may start it
    sealed = 1u << 8,        // running, has returned: a time-out comes too late
    error_aside = 1u << 9,   // the exception stands in the extras: the callable still runs
    away = 1u << 10,         // pending, and its executor's alone: encoded for another process
    error_seen = 1u << 11,   // somebody has looked at the exception
    runner_shift = 16,
    runner_mask = 0xffffull << runner_shift,
    reference_shift = 32,
    one_reference = 1ull << reference_shift
};

constexpr std::uint64_t phase_of(std::uint64_t word) noexcept { return word & phase_mask; }
constexpr bool is_done(std::uint64_t word) noexcept { return phase_of(word) >= phase_value; }
constexpr std::uint64_t references_of(std::uint64_t word) noexcept {
    return word >> reference_shift;
}
constexpr std::size_t runner_of(std::uint64_t word) noexcept {
    return static_cast<std::size_t>((word & runner_mask) >> runner_shift);
}

// Protocol [state]
//
//   phase               who may touch the storage                     who moves it on
//   pending, not_ready  the maker, then nobody                        inputs, promise, cancel
//   pending             nobody: it holds the callable                 claim() or cancel(): one CAS
//   pending, away       the executor: it has sent the call off        the executor, under its lock
//   running             the runner: callable, then result             the runner, or a time-out
//   value, error        holders of a reference; get() moves it out    final
//   cancelled           the canceller, to free the callable           final
//
//   references  one for each future or shared_future, one for the way to the worker (queue, runner,
//               inputs to come); the last one out destroys.
//   waiters     the list belongs to whoever holds list_locked. has_waiters: it is not empty.
//
// Invariant  the phase leaves pending once and running once. Whoever publishes a done phase tells
//            every waiter, and whoever links a waiter has seen that the state was not done while
//            holding the lock: no waiter is missed.
// Order      publish() releases (CAS, acq_rel) after the storage was written; every reader of the
//            storage has loaded a done phase with acquire. Dropping a reference is acq_rel, so that
//            the last holder sees all that the others did.
// Links      while it runs, `link` holds the runner's deque position at its start [base].
// Death      of a thread: only with the process. In a child of fork() a lock may stay held: lock()
//            gives up there, for nobody else runs.
class state : public queue_link {
public:
    state(state_ops const& operations, executor_core* core, std::uint64_t initial) noexcept
        : word(initial), ops(&operations), owner(core) {}
    state(state const&) = delete;
    state& operator=(state const&) = delete;

    std::uint64_t look() const noexcept {
        return word.load(std::memory_order_acquire);  // [state] with publish()
    }
    bool done() const noexcept { return is_done(look()); }

    /// pending to running by worker `runner`. False: somebody else decided, or it is not ready.
    bool claim(std::size_t runner) noexcept {
        chaos_point();
        auto seen = word.load(std::memory_order_relaxed);  // [state] a guess, CAS decides
        do {
            if (phase_of(seen) != phase_pending || (seen & (not_ready | away))) return false;
        } while (!word.compare_exchange_weak(
            seen, (seen | phase_running) + (std::uint64_t{runner} << runner_shift),
            std::memory_order_acq_rel,  // [state] the submitter's writes, with its queue
            std::memory_order_relaxed));  // [state] looks again
        return true;
    }

    /// pending to cancelled. False: it started, is away, or was done. The winner calls tell(), and
    /// frees the callable.
    bool cancel() noexcept {
        chaos_point();
        auto seen = look();
        do {
            if (phase_of(seen) != phase_pending || (seen & away)) return false;
        } while (!word.compare_exchange_weak(seen, seen | phase_cancelled,
                                             std::memory_order_acq_rel,  // [state] publish
                                             std::memory_order_acquire));  // [state]
        return true;
    }

    /// Tells the waiters of a state that cancel() or expire() has made done.
    void tell() noexcept {
        if (look() & (has_waiters | list_locked)) tell_waiters(false);
    }

    /// not_ready is over: it may be claimed. Called once, when its inputs hold values.
    void make_ready() noexcept {
        word.fetch_and(~std::uint64_t{not_ready}, std::memory_order_acq_rel);  // [state] with claim
    }

    /// pending to pending and away. False: it was cancelled.
    bool send_away() noexcept {
        auto seen = look();
        do {
            if (phase_of(seen) != phase_pending) return false;
        } while (!word.compare_exchange_weak(seen, seen | away,
                                             std::memory_order_acq_rel,  // [state] one winner
                                             std::memory_order_acquire));  // [state]
        return true;
    }
    /// away to running, or to cancelled: only its executor calls this, once. Whoever cancels calls
    /// tell().
    void take_back(std::uint64_t phase) noexcept {
        word.fetch_add(phase - away, std::memory_order_acq_rel);  // [state] with look()
    }

    /// pending to running without a worker: a promise is being set, inputs or executor have failed.
    bool claim_unready() noexcept {
        auto seen = look();
        do {
            if (phase_of(seen) != phase_pending || (seen & away)) return false;
        } while (!word.compare_exchange_weak(seen, seen | phase_running | not_ready,
                                             std::memory_order_acq_rel,  // [state] one setter
                                             std::memory_order_acquire));  // [state]
        return true;
    }

    /// running to sealed, for tasks with a time-out. False: the time-out was first.
    bool seal() noexcept {
        auto seen = look();
        do {
            if (phase_of(seen) != phase_running) return false;
        } while (!word.compare_exchange_weak(seen, seen | sealed,
                                             std::memory_order_acq_rel,  // [state] with expire()
                                             std::memory_order_acquire));  // [state]
        return true;
    }

    /// running to error with the exception in the extras. False: it has returned already. The
    /// winner calls tell().
    bool expire() noexcept {
        auto seen = look();
        do {
            if (phase_of(seen) != phase_running || (seen & sealed)) return false;
        } while (!word.compare_exchange_weak(
            seen, (seen - phase_running + phase_error) | error_aside | stop_asked,
            std::memory_order_acq_rel,  // [state] extras before phase, with look()
            std::memory_order_acquire));  // [state]
        return true;
    }

    /// running to done, then gives up the runner's reference: `this` may be gone afterwards.
    void publish(std::uint64_t phase) noexcept { publish_from(phase_running, phase); }

    /// The same from away: only its executor calls this, instead of take_back().
    void publish_away(std::uint64_t phase) noexcept { publish_from(away, phase); }

    void retain(std::uint64_t count = 1) noexcept {
        word.fetch_add(count * one_reference, std::memory_order_relaxed);  // [state] holder adds
    }

    void release() noexcept {
        // The only holder needs no read-modify-write: nobody is there to race with.
        if (references_of(look()) == 1 ||
            references_of(word.fetch_sub(one_reference,
                                         std::memory_order_acq_rel)) == 1) {  // [state] last one
            ops->destroy(*this);
        }
    }

    /// Links a waiter. False: the state is done, nothing was linked.
    bool add_waiter(waiter& w) noexcept {
        if (!lock_unless_done()) return false;
        if (!waiters_) {
            waiters_ = w.previous = &w;
        } else {
            waiters_->previous->next = &w;
            w.previous = waiters_->previous;
            waiters_->previous = &w;
        }
        w.next = nullptr;
        w.linked = true;
        if (ops->attend && w.call_when != waiter::when::under_lock) ops->attend(*this);
        unlock();
        return true;
    }

    /// Takes an under_lock waiter out again. Afterwards it is not called, and no call is under way.
    void remove_waiter(waiter& w) noexcept {
        lock();
        if (w.linked) unlink(w);
        unlock();
    }

    // Guards the waiter list, and the inputs of a state that has some.
    void lock() noexcept {
        for (int tries = 0;; ++tries) {
            auto seen = word.load(std::memory_order_relaxed);  // [state] a guess, CAS decides
            if (!(seen & list_locked) &&
                word.compare_exchange_weak(seen, seen | list_locked,
                                           std::memory_order_acq_rel,     // [state] with unlock()
                                           std::memory_order_relaxed)) {  // [state]
                return;
            }
            if (!keep_trying(tries)) return;
        }
    }

    /// False: the state is done, and not locked.
    bool lock_unless_done() noexcept {
        for (int tries = 0;; ++tries) {
            auto seen = look();
            if (is_done(seen)) return false;
            if (!(seen & list_locked) &&
                word.compare_exchange_weak(seen, seen | list_locked,
                                           std::memory_order_acq_rel,     // [state] with unlock()
                                           std::memory_order_relaxed)) {  // [state]
                return true;
            }
            if (!keep_trying(tries)) return false;
        }
    }

    void unlock() noexcept {
        chaos_point();
        // Only the holder changes these two bits, so the sum below cannot carry.
        auto const seen = word.load(std::memory_order_relaxed);  // [state] own bits
        auto const flag = waiters_ ? has_waiters : std::uint64_t{0};
        word.fetch_add(flag - (seen & has_waiters) - (seen & list_locked),
                       std::memory_order_acq_rel);  // [state] list before lock bit, with lock()
    }

    std::atomic<std::uint64_t> word;
    state_ops const* ops;
    executor_core* owner;  // null: a promise or a combination

private:
    void publish_from(std::uint64_t before, std::uint64_t phase) noexcept {
        chaos_point();
        auto seen = word.load(std::memory_order_relaxed);  // [state] own storage, CAS publishes
        for (;;) {
            if (seen & (has_waiters | list_locked)) {
                word.fetch_add(phase - before,
                               std::memory_order_acq_rel);  // [state] storage before phase
                tell_waiters(true);
                release();
                return;
            }
            auto const wanted = seen + phase - before - one_reference;
            if (word.compare_exchange_weak(seen, wanted,
                                           std::memory_order_acq_rel,     // [state] with look()
                                           std::memory_order_relaxed)) {  // [state] looks again
                if (references_of(wanted) == 0) ops->destroy(*this);
                return;
            }
        }
    }

    static bool keep_trying(int tries) noexcept {
        if (tries < 16) {
            cpu_relax();
        } else {
            if (tries > 1'000'000 && forked_since(0)) return false;  // held by a thread not here
            yield_thread();
        }
        return true;
    }

    void unlink(waiter& w) noexcept {
        waiter* const next = w.next;
        if (waiters_ == &w) {
            if (next) next->previous = w.previous;
            waiters_ = next;
        } else {
            w.previous->next = next;
            (next ? next : waiters_)->previous = w.previous;
        }
        w.linked = false;
    }

    void tell_waiters(bool published) noexcept;

    waiter* waiters_ = nullptr;
};

/// Runs what a finished state left to be called. A chain of a million dependent states must not be
/// a million frames deep: inner calls only queue up behind the outermost one. User code starts
/// afresh: it may wait for what its own actions set off.
class deferred_calls {
public:
    static void run(waiter* list) noexcept {
        static constinit thread_local deferred_calls pending;
        (pending.last_ ? pending.last_->next : pending.first_) = list;
        while (list) {
            pending.last_ = list;
            list = list->next;
        }
        if (pending.running_) return;
        pending.running_ = true;
        while (waiter* const w = pending.first_) {
            pending.first_ = w->next;
            if (!pending.first_) pending.last_ = nullptr;
            if (w->call_when == waiter::when::foreign) {
                auto const outer = std::exchange(pending, deferred_calls());
                w->notify(*w);
                pending = outer;
            } else {
                w->notify(*w);
            }
        }
        pending.running_ = false;
    }

private:
    waiter* first_ = nullptr;
    waiter* last_ = nullptr;
    bool running_ = false;
};

inline void state::tell_waiters(bool published) noexcept {
    // Ours before the user's: a callback may wait for a task that this state makes ready.
    struct later {
        waiter* first = nullptr;
        waiter** end = &first;
    } ours, foreign;
    lock();
    while (waiter* const w = waiters_) {
        unlink(*w);
        if (w->call_when == waiter::when::under_lock) {
            w->notify(*w);
        } else {
            auto& list = w->call_when == waiter::when::foreign ? foreign : ours;
            w->next = nullptr;
            *list.end = w;
            list.end = &w->next;
        }
    }
    unlock();
    // Whoever reads replies may hold a lock of the user's, which a callback may want.
    if (published && foreign.first && ops->call_back) {
        ops->call_back(*this, std::exchange(foreign.first, nullptr));
    }
    *ours.end = foreign.first;
    if (ours.first) deferred_calls::run(ours.first);
}

/// A counted reference to a state.
class state_ref {
public:
    state_ref() = default;
    /// Takes over a reference that is already counted.
    explicit state_ref(state* counted) noexcept : state_(counted) {}
    static state_ref share(state& s) noexcept {
        s.retain();
        return state_ref(&s);
    }
    state_ref(state_ref&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    state_ref(state_ref const& other) noexcept : state_(other.state_) {
        if (state_) state_->retain();
    }
    state_ref& operator=(state_ref other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~state_ref() {
        if (state_) state_->release();
    }

    explicit operator bool() const noexcept { return state_ != nullptr; }
    state* get() const noexcept { return state_; }
    state& operator*() const noexcept { return *state_; }
    state* operator->() const noexcept { return state_; }
    state* give_up() noexcept { return std::exchange(state_, nullptr); }

private:
    state* state_ = nullptr;
};

}  // namespace concur::inline v0::detail

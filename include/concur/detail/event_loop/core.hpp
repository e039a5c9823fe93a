// SPDX-License-Identifier: BSL-1.0
// The heart of an event_loop: one thread that runs tasks, resumes coroutines and runs what Asio has
// ready, and the ways on which work reaches it. What is not marked as the loop's own may be called
// by any thread. Cost: a submit is one exchange, plus a post to Asio if the loop sleeps.
#pragma once

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include <concur/detail/event_loop/deadline_heap.hpp>
#include <concur/detail/event_loop/remote_waits.hpp>
#include <concur/detail/event_loop/strand.hpp>
#include <concur/detail/sync/priority_queue.hpp>
#include <concur/detail/task/blocking.hpp>
#include <concur/detail/task/input_walk.hpp>
#include <concur/executor.hpp>

namespace concur::inline v0::detail {

/// The loop that the calling thread runs.
CONCUR_API inline constinit thread_local loop_core* this_loop = nullptr;

// Protocol [loop]
//
//   tasks     states to start, and coroutine states again when they are asked to stop
//   wakes     suspensions that other threads have woken
//   asleep    the loop is in Asio's run(), or about to be: Asio calls its handlers, or blocks
//
// Invariant  the loop says asleep, then looks at tasks, wakes, gate and who waits for idleness; the
//            others write those first, then look at asleep, and have Asio stopped if they find it:
//            one of them sees the other. Both seq_cst. Asio's handlers, on the loop's own thread,
//            are such others: what they leave to do is done when they return.
// Stop       is by a handler, always: so a run() that has run none has nothing to wait for. A stop
//            that comes late costs a turn.
// Lifetime   whoever wakes a suspension holds the lock of its state meanwhile, and so does whoever
//            asks a coroutine to stop: the strand, and with it the loop, does not end before.
//
// Protocol [loop end]
//
//   admitted  jobs announced, counted before the gate is read
//   retired   jobs over: by the loop, and elsewhere for those decided without it
//   gate      open, then shut
//
// Invariant  as in [end]: retired, read first, equals admitted, read second, only if nothing was
//            pending or running. The loop leaves when the gate is shut and all are retired.
class loop_core final : public executor_core {
public:
    static constexpr bool runs_in_submit = false;
    using io_executor = boost::asio::io_context::executor_type;

    struct options {
        std::string name;
        handler<std::exception_ptr> on_error;
        std::size_t max_pending = 0;
    };

    [[gnu::cold]] explicit loop_core(options o);

    // ---- the submitters' side
    void admit(bool may_wait) override;
    void admit_internal(bool may_wait) override;
    void enqueue(state& task) noexcept override;
    [[gnu::cold]] void require_open() override;
    /// A coroutine that runs is asked to stop. Its state is locked and not done.
    void enqueue_again(state& task) noexcept {
        task.retain();
        push(task);
    }

    // ---- tasks that the loop does not run
    void count_unrun(std::size_t tasks, unrun how) noexcept override {
        (how == unrun::cancelled ? unrun_cancelled_ : unrun_failed_).fetch_add(tasks);
    }
    void leave_queue() noexcept override {
        if (options_.max_pending != 0) left_pending();
    }
    void retire_unrun() noexcept override;
    [[gnu::cold]] void add_dependent(dependent_link& link) override;
    [[gnu::cold]] void remove_dependent(dependent_link& link) noexcept override;

    // ---- waiting inside its tasks
    bool help(state& target) override;
    [[gnu::cold]] void begin_wait(wait_place& wait) override;
    [[gnu::cold]] void end_wait(wait_place& wait) noexcept override;

    // ---- loops and maps
    void count_items(std::size_t n) noexcept override { items_.fetch_add(n); }
    void count_unrun_items(std::size_t n) noexcept override { unrun_cancelled_.fetch_add(n); }
    std::size_t workers() const noexcept override { return 1; }
    std::size_t chunks_in_flight() const noexcept override { return 4; }
    bool lend_place(worker_context&) noexcept override { return false; }
    void return_place(worker_context&) noexcept override {}

    // ---- the loop's own
    /// Runs until the loop is shut down and everything has ended.
    void run();
    boost::asio::io_context& context() noexcept { return io_; }
    bool here() const noexcept { return this_loop == this; }
    void ready(ready_node& node) noexcept {
        ready_.push(node);
        wake();
    }
    void add_deadline(time_point when, deadline_node& node);
    void remove_deadline(deadline_node& node) noexcept { deadlines_.remove(node); }
    void enter(strand& s) noexcept;
    void leave(strand& s) noexcept;
    strand* first_live() const noexcept { return first_live_; }
    /// Of a coroutine job, after its future is done.
    void retire() noexcept {
        tally::add(counts_.retired, 1);
        if (asleep_.load()) tell_if_idle();  // in a handler: sleep() has looked before
    }
    tally& counts() noexcept { return counts_; }
    [[gnu::cold]] void cancel_strands() noexcept;

    /// Runs the loop from inside one of its own coroutines until `over()`.
    template <class Over>
    void run_until(Over&& over) {
        while (!over()) {
            work();
            // In a handler: a run() inside of it does not see what was posted by what it has
            // called.
            poll_io();
            if (!over()) rest();
        }
        // Inside a handler: the run() that called it would not know of what has come meanwhile.
        if (!asleep_.load()) io_.stop();
    }

    /// Any thread: a suspension that another thread wakes.
    void wake_from_anywhere(suspension& node) noexcept;
    /// Suspensions that something outside of this loop wakes, though Asio does not know of it.
    void add_foreign_wait() noexcept { ++foreign_waits_; }
    void remove_foreign_wait() noexcept { --foreign_waits_; }
    remote_waits& remote() noexcept { return remote_; }
    /// remote().add(), and the loop does not sleep before it listens to that one too.
    remote_core* await_remote(state& task) noexcept {
        auto* const awaited = remote_.add(task);
        if (awaited) wake();
        return awaited;
    }

    // ---- the members of event_loop
    [[gnu::cold]] void start_thread();
    [[gnu::cold]] executor_stats stats() const;
    [[gnu::cold]] void wait_idle();
    [[gnu::cold]] void shut_down(shutdown_options how);
    [[gnu::cold]] void abandon_thread() noexcept;
    [[gnu::cold]] std::string describe();
    bool inert() const noexcept override { return forked_since(generation_); }
    std::string const& name() const noexcept { return options_.name; }

    void retain() noexcept override {
        references_.fetch_add(1, std::memory_order_relaxed);  // [loop end] a holder adds
    }
    void release() noexcept override {
        if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;  // [loop end]
    }

    strand* running = nullptr;  // the loop's thread only

private:
    [[gnu::cold]] ~loop_core();

    void push(state& task) noexcept {
        tasks_.push(task);
        wake();
    }
    void wake() noexcept;
    void work() noexcept;
    void rest() noexcept {
        if (remote_.any()) return rest_awaiting_replies();
        any_work() ? poll_io() : sleep();
    }
    void rest_awaiting_replies() noexcept;
    void run_tasks() noexcept;
    void run_task(state& task) noexcept;
    void run_ready() noexcept;
    void poll_io() noexcept;
    std::size_t run_io() noexcept;
    void sleep() noexcept;
    void sleep_to_the_end() noexcept;
    void take_wakes() noexcept {
        wakes_.take_batch(batch, [this](queue_link& node) { ready_.push(node); });
    }
    bool any_work() const noexcept {
        return !ready_.empty() || !tasks_.empty() || !wakes_.empty() || !by_priority_.empty();
    }
    bool over() const noexcept { return gate_.load() != open && all_retired(); }
    std::uint64_t retired() const noexcept {
        return retired_elsewhere_.load() +
               counts_.retired.load(std::memory_order_acquire);  // [tally] of the loop
    }
    bool all_retired() const noexcept {
        auto const ended = retired();  // first: see the invariant
        return ended == tasks_.announced().load();
    }
    void tell_if_idle() noexcept;
    void arm(time_point when);
    void deadlines_due();
    bool run_awaited(state& task);
    bool leads_here(state& target);
    [[gnu::cold]] void wait_for_space();
    [[gnu::cold]] void left_pending() noexcept;
    [[gnu::cold]] void must_not_be_inside(char const* verb) const;
    [[gnu::cold]] void cancel_queued() noexcept;
    [[gnu::cold]] void report_stuck() noexcept;
    [[gnu::cold]] void join_thread() noexcept;

    static constexpr std::size_t batch = 64;
    enum gate_state : std::uint32_t { open, shut };

    options const options_;
    std::uint32_t const generation_ = fork_generation();
    std::atomic<std::uint32_t> gate_{open};
    std::atomic<std::uint32_t> idle_waiters_{0};
    std::atomic<bool> cancelling_{false};
    std::atomic<bool> strands_to_cancel_{false};

    injection_queue tasks_;
    injection_queue wakes_;
    priority_queue by_priority_;
    alignas(cache_line) std::atomic<bool> asleep_{false};

    // The loop's own.
    alignas(cache_line) tally counts_;
    ready_list ready_;
    deadline_heap deadlines_;
    strand* first_live_ = nullptr;
    strand* last_live_ = nullptr;
    std::size_t foreign_waits_ = 0;
    remote_waits remote_;
    int blind_waits_ = 0;  // blocking waits for several things, under way on this thread

    alignas(cache_line) std::atomic<std::uint64_t> references_{1};
    std::atomic<std::uint64_t> retired_elsewhere_{0};
    std::atomic<std::uint64_t> unrun_cancelled_{0};
    std::atomic<std::uint64_t> unrun_failed_{0};
    std::atomic<std::uint64_t> internal_{0};
    std::atomic<std::uint64_t> items_{0};
    std::atomic<std::uint64_t> refused_{0};

    std::mutex mutex_;  // of the following
    std::condition_variable changed_;
    std::condition_variable space_;
    std::size_t pending_ = 0;  // only with max_pending
    dependent_list dependents_;

    std::mutex join_mutex_;
    std::thread thread_;

    // Last: its handlers may refer to everything else.
    boost::asio::io_context io_{1};
    std::optional<boost::asio::executor_work_guard<io_executor>> guard_;
    boost::asio::basic_waitable_timer<steady_clock, boost::asio::wait_traits<steady_clock>,
                                      io_executor>
        timer_{io_.get_executor()};
    time_point armed_for_ = time_point::max();
};

// ---- implementation: what the strands need

inline void suspension::wake() noexcept {
    leave();
    who->on->core->ready(*this);
}

inline void suspension::throw_if_cancelled() const {
    if (cancelled) throw task_cancelled();
}

inline task_context root_strand::context() const noexcept {
    auto* const extras = task->ops->extras ? task->ops->extras(*task) : nullptr;
    return {task,
            false,
            extras ? extras->seed : std::nullopt,
            position,
            1,
            extras && !extras->name.empty() ? &extras->name : nullptr,
            hooks,
            this_task_context};
}

inline void strand::resume(std::coroutine_handle<> frame) {
    loop_core& loop = *core;
    auto* const outer = std::exchange(loop.running, this);
    started = true;
    innermost = nullptr;
    {
        task_context context = root->context();
        scoped_context const scope(this_task_context, context);
        next_frame = frame;
        do {
            std::exchange(next_frame, nullptr).resume();
        } while (next_frame);
        root->hooks = context.hooks;
    }
    loop.running = outer;
    if (ended) kind().finished(*this);
}

// ---- implementation: submitters

inline loop_core::loop_core(options o) : executor_core(o.on_error), options_(std::move(o)) {
    guard_.emplace(io_.get_executor());
}

inline void loop_core::require_open() {
    if (inert()) {
        throw broken_executor("this event_loop was made before a fork(); make one in the child");
    }
    if (gate_.load() != open) throw executor_shut_down();
}

inline void loop_core::admit(bool may_wait) {
    if (inert()) require_open();
    if (options_.max_pending != 0) {
        if (may_wait && !here()) {
            wait_for_space();
        } else {
            std::lock_guard const lock(mutex_);
            ++pending_;
        }
    }
    tasks_.announced().fetch_add(1);
    if (gate_.load() != open) {
        refused_.fetch_add(1);
        leave_queue();
        retire_unrun();
        require_open();
    }
}

inline void loop_core::admit_internal(bool may_wait) {
    internal_.fetch_add(1);
    try {
        admit(may_wait);
    } catch (...) {
        internal_.fetch_sub(1);
        throw;
    }
}

inline void loop_core::wait_for_space() {
    std::unique_lock lock(mutex_);
    space_.wait(lock, [this] { return pending_ < options_.max_pending || gate_.load() != open; });
    ++pending_;
}

inline void loop_core::left_pending() noexcept {
    std::lock_guard const lock(mutex_);
    --pending_;
    space_.notify_one();
}

inline void loop_core::enqueue(state& task) noexcept {
    auto const* const extras = task.ops->extras ? task.ops->extras(task) : nullptr;
    if (extras && extras->priority != 0) {
        try {
            by_priority_.push(extras->priority, task);
            return wake();
        } catch (std::bad_alloc const&) {
            // The order is not what it should be, the task is safe.
        }
    }
    push(task);
}

inline void loop_core::wake_from_anywhere(suspension& node) noexcept {
    if (here()) return node.wake();
    wakes_.push(node);
    wake();
}

inline void loop_core::retire_unrun() noexcept {
    retain();
    retired_elsewhere_.fetch_add(1);
    tell_if_idle();
    release();
}

inline void loop_core::add_dependent(dependent_link& link) {
    dependents_.add(link);
    if (cancelling_.load()) cancel_queued();
}

inline void loop_core::remove_dependent(dependent_link& link) noexcept { dependents_.remove(link); }

// ---- implementation: strands and deadlines

inline void loop_core::enter(strand& s) noexcept {
    s.previous_live = last_live_;
    (last_live_ ? last_live_->next_live : first_live_) = &s;
    last_live_ = &s;
}

inline void loop_core::leave(strand& s) noexcept {
    (s.previous_live ? s.previous_live->next_live : first_live_) = s.next_live;
    (s.next_live ? s.next_live->previous_live : last_live_) = s.previous_live;
    s.next_live = s.previous_live = nullptr;
}

inline void loop_core::add_deadline(time_point when, deadline_node& node) {
    deadlines_.push(when, node);
    if (when < armed_for_) arm(when);
}

}  // namespace concur::inline v0::detail

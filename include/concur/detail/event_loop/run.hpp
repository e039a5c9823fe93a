// SPDX-License-Identifier: BSL-1.0
// What the thread of an event_loop does: takes tasks, resumes what is ready, looks at Asio now and
// then, sleeps in it; and how the loop comes to its end, or to rest.
#pragma once

#include <cstdio>

#include <concur/detail/event_loop/core.hpp>
#include <concur/detail/event_loop/dump.hpp>

namespace concur::inline v0::detail {

inline void loop_core::wake() noexcept {
    chaos_point();
    if (!asleep_.load() || !asleep_.exchange(false)) return;
    if (here()) return io_.stop();                       // when the handler under way returns
    io_.get_executor().execute([this] { io_.stop(); });  // posts: cheaper to compile than post()
}

inline void loop_core::run() {
    scoped_context const loop_here(this_loop, *this);
    worker_context place{this, 0, &counts_, this_worker_context};
    scoped_context const scope(this_worker_context, place);
    auto* const outer_task = std::exchange(this_task_context, nullptr);
    while (!over()) {
        work();
        rest();
    }
    this_task_context = outer_task;
    tell_if_idle();
}

inline void loop_core::work() noexcept {
    if (strands_to_cancel_.load() && strands_to_cancel_.exchange(false)) cancel_strands();
    take_wakes();
    run_ready();
    run_tasks();
}

/// A batch of them, or less if they are long: then what Asio has ready comes first.
inline void loop_core::run_tasks() noexcept {
    if (tasks_.empty() && by_priority_.empty()) return;
    auto const began = steady_clock::now();
    for (std::size_t i = 1; i <= batch; ++i) {
        state* task = nullptr;
        if (by_priority_.any_above()) task = static_cast<state*>(by_priority_.take(true));
        if (!task) {
            tasks_.take_batch(1, [&](queue_link& item) { task = &static_cast<state&>(item); });
        }
        if (!task) task = static_cast<state*>(by_priority_.take(false));
        if (!task) return;
        run_task(*task);
        if (i % 8 == 0 && steady_clock::now() - began > std::chrono::microseconds(100)) return;
    }
}

inline void loop_core::run_task(state& task) noexcept {
    chaos_point();
    if (!task.claim(0)) {
        // Cancelled, or run inside a wait, or a coroutine that is asked to stop.
        if (task.ops->asked && phase_of(task.look()) == phase_running) task.ops->asked(task);
        return task.release();
    }
    if (options_.max_pending != 0) left_pending();
    tally::add(counts_.started, task.ops->tasks);
    bool const ends_later = task.ops->asked != nullptr;
    task.ops->run(task);
    if (!ends_later) retire();
}

inline void loop_core::run_ready() noexcept {
    for (std::size_t i = 0; i < batch; ++i) {
        auto* const node = static_cast<ready_node*>(ready_.pop());
        if (!node) return;
        node->ops->run(*node);
    }
}

inline void loop_core::poll_io() noexcept {
    try {
        for (std::size_t i = 0; i < batch && io_.poll_one() != 0; ++i) {
        }
    } catch (...) {
        report_current(this);  // a handler of the user's own
    }
    if (io_.stopped()) io_.restart();
}

/// Coroutines await tasks of other processes: this thread reads the replies.
inline void loop_core::rest_awaiting_replies() noexcept {
    bool const stays_awake = remote_.moment_lasts();
    int looks = stays_awake ? 32 : 1;
    while (looks-- != 0 && !remote_.look() && !any_work()) cpu_relax();
    stays_awake || any_work() ? poll_io() : sleep();
}

inline void loop_core::sleep() noexcept {
    asleep_.store(true);
    tell_if_idle();
    if (any_work() || over() || strands_to_cancel_.load()) return asleep_.store(false);
    if (gate_.load() != open && first_live_ && foreign_waits_ == 0) return sleep_to_the_end();
    remote_.listen(io_);
    if (!any_work()) run_io();
    remote_.stop_listening();
    asleep_.store(false);
    if (io_.stopped()) io_.restart();  // by wake(), or by the user, whose it is not to stop
}

/// One run() for all handlers until there is something else to do: in it, Asio keeps the memory of
/// one operation for the next.
inline std::size_t loop_core::run_io() noexcept {
    try {
        return io_.run();
    } catch (...) {
        report_current(this);
        return 1;
    }
}

/// No more tasks will come. If Asio has nothing to wait for either, then nobody will ever resume
/// what is suspended.
inline void loop_core::sleep_to_the_end() noexcept {
    guard_.reset();
    auto ran = run_io();
    if (ran == 0) {
        io_.restart();
        ran = run_io();  // the user may have stopped the first one
    }
    asleep_.store(false);
    guard_.emplace(io_.get_executor());
    if (io_.stopped()) io_.restart();
    if (ran != 0 || any_work() || !first_live_) return;
    report_stuck();
    cancel_strands();
}

inline void loop_core::report_stuck() noexcept {
    try {
        auto const report = text_of_tasks(*this);
        std::fprintf(stderr,
                     "concur: event_loop%s%s is at its end, and nothing will resume these tasks; "
                     "they are cancelled\n%s",
                     options_.name.empty() ? "" : " ", options_.name.c_str(), report.c_str());
    } catch (...) {
        report_current(this);
    }
}

/// What dump_tasks() prints: asked of the loop's thread.
inline std::string loop_core::describe() {
    if (here()) return text_of_tasks(*this);
    if (over()) return "  no task is under way\n";
    struct request {
        std::mutex mutex;
        std::condition_variable answered;
        std::string answer;
    };
    auto const asked = std::make_shared<request>();
    io_.get_executor().execute([this, asked] {
        std::lock_guard const lock(asked->mutex);
        asked->answer = text_of_tasks(*this);
        asked->answered.notify_all();
    });
    std::unique_lock lock(asked->mutex);
    if (!asked->answered.wait_for(lock, std::chrono::seconds(1),
                                  [&] { return !asked->answer.empty(); })) {
        return "  the loop does not answer: one of its tasks keeps its thread busy\n";
    }
    return asked->answer;
}

inline void loop_core::cancel_strands() noexcept {
    for (auto* s = first_live_; s; s = s->next_live) {
        if (!s->parent) s->cancel();
    }
}

inline void loop_core::arm(time_point when) {
    armed_for_ = when;
    timer_.expires_at(when);
    timer_.async_wait([this](boost::system::error_code const& problem) {
        if (!problem) deadlines_due();
    });
}

inline void loop_core::deadlines_due() {
    armed_for_ = time_point::max();
    auto const now = steady_clock::now();
    while (auto* const node = deadlines_.pop_due(now)) node->expired(*node);
    if (!deadlines_.empty()) arm(deadlines_.earliest());
}

// ---- implementation: blocking waits inside tasks

/// A function that was submitted here may be run inside the wait; a coroutine needs the loop.
inline bool loop_core::help(state& target) {
    if (!here()) return false;
    bool helped = false;
    input_walk walk;
    walk.go(target, [&](state& task) {
        helped = run_awaited(task) || helped;
        return input_walk::verdict::go_on;
    });
    if (!helped && blind_waits_ != 0 && leads_here(target)) {
        throw would_deadlock("blocking on an event_loop from its own thread; co_await it instead");
    }
    return helped;
}

inline bool loop_core::run_awaited(state& task) {
    auto const seen = task.look();
    if (task.owner != this || task.ops->asked || phase_of(seen) != phase_pending ||
        (seen & not_ready) || !task.claim(0)) {
        return false;
    }
    worker_context place{this, 0, &counts_, this_worker_context};
    scoped_context const scope(this_worker_context, place);
    task.retain();  // the queue has one too
    if (options_.max_pending != 0) left_pending();
    tally::add(counts_.started, task.ops->tasks);
    task.ops->run(task);
    retire();
    return true;
}

inline bool loop_core::leads_here(state& target) {
    bool found = false;
    input_walk walk;
    walk.go(target, [&](state& task) {
        found = found || (task.owner == this && !task.done());
        return found ? input_walk::verdict::stop : input_walk::verdict::go_on;
    });
    return found;
}

inline void loop_core::begin_wait(wait_place& wait) {
    if (!wait.endless || !here()) return;
    if (wait.target && leads_here(*wait.target)) {
        throw would_deadlock("blocking on an event_loop from its own thread; co_await it instead");
    }
    if (!wait.target) ++blind_waits_;
}

inline void loop_core::end_wait(wait_place& wait) noexcept {
    if (wait.endless && here() && !wait.target) --blind_waits_;
}

// ---- implementation: rest and end

inline void loop_core::tell_if_idle() noexcept {
    bool const ending = gate_.load() != open;
    if ((!ending && idle_waiters_.load() == 0) || !all_retired()) return;
    {
        std::lock_guard const lock(mutex_);  // nobody is between looking and sleeping
        changed_.notify_all();
    }
    if (ending) wake();
}

inline void loop_core::must_not_be_inside(char const* verb) const {
    if (!here()) return;
    throw would_deadlock(text(
        "%s inside a task or callback of the same event_loop would wait for that very task", verb));
}

inline void loop_core::wait_idle() {
    if (inert()) return require_open();
    must_not_be_inside("wait_idle()");
    idle_waiters_.fetch_add(1);
    wake();
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return all_retired(); });
    }
    idle_waiters_.fetch_sub(1);
}

inline void loop_core::shut_down(shutdown_options how) {
    if (inert()) return;
    if (how.wait) must_not_be_inside("shutdown()");
    gate_.store(shut);
    {
        std::lock_guard const lock(mutex_);
        space_.notify_all();
    }
    if (how.cancel_pending) {
        cancelling_.store(true);
        cancel_queued();
        strands_to_cancel_.store(true);
    }
    wake();
    tell_if_idle();
    if (how.wait) join_thread();
}

inline void loop_core::start_thread() {
    retain();
    try {
        thread_ = std::thread([this] {
            name_thread(options_.name.empty() ? "concur loop" : options_.name.c_str());
            run();
            release();
        });
    } catch (std::system_error const& problem) {
        release();
        throw broken_executor(
            text("event_loop: its thread could not be started (%s)", problem.what()));
    }
}

inline void loop_core::join_thread() noexcept {
    std::lock_guard const joining(join_mutex_);
    if (thread_.joinable()) thread_.join();
}

inline void loop_core::abandon_thread() noexcept {
    std::lock_guard const joining(join_mutex_);
    if (thread_.joinable()) thread_.detach();
}

/// By the thread that shuts down, for the loop may be in a long task.
inline void loop_core::cancel_queued() noexcept {
    auto const decide = [](state& task) {
        cancel_task(task);  // of a coroutine that is asked to stop: the loop cancels all strands
        task.release();
    };
    while (!tasks_.empty()) {
        state* task = nullptr;
        if (tasks_.take_batch(1, [&](queue_link& item) { task = &static_cast<state&>(item); })) {
            decide(*task);
        } else {
            yield_thread();
        }
    }
    while (auto* const item = by_priority_.take(false)) decide(static_cast<state&>(*item));
    while (state_ref const task = dependents_.take()) cancel_task(*task);
}

inline loop_core::~loop_core() {
    // What is left in the queues was decided by others.
    while (!tasks_.empty()) {
        tasks_.take_batch(batch, [](queue_link& item) { static_cast<state&>(item).release(); });
    }
    while (auto* const item = by_priority_.take(false)) static_cast<state&>(*item).release();
}

inline executor_stats loop_core::stats() const {
    auto const read = [](std::atomic<std::uint64_t> const& counter) {
        return counter.load(std::memory_order_acquire);  // [tally] with the loop
    };
    executor_stats s;
    s.workers = 1;
    auto const unrun_failed = unrun_failed_.load(), unrun_cancelled = unrun_cancelled_.load();
    s.completed = read(counts_.completed);
    auto const failed = read(counts_.failed), cancelled = read(counts_.cancelled);
    s.failed = unrun_failed + failed;
    s.cancelled = unrun_cancelled + cancelled;
    auto const ended = s.completed + failed + cancelled;
    auto const started = read(counts_.started);
    // Read in the order of a task's life backwards, so that no difference is negative.
    s.submitted = items_.load() - internal_.load() + tasks_.announced().load() - refused_.load();
    auto const left = s.submitted - unrun_failed - unrun_cancelled - ended;
    s.running = started > ended ? static_cast<std::size_t>(started - ended) : 0;
    s.running = std::min<std::size_t>(s.running, static_cast<std::size_t>(left));
    s.pending = static_cast<std::size_t>(left) - s.running;
    return s;
}

}  // namespace concur::inline v0::detail

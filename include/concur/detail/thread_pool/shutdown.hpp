// SPDX-License-Identifier: BSL-1.0
// How a thread pool comes to its end, or only to rest: wait_idle, shutdown, a broken initializer,
// and the statistics that the same counters give.
#pragma once

#include <concur/detail/thread_pool/core.hpp>

namespace concur::inline v0::detail {

inline std::uint64_t thread_pool_core::retired() const noexcept {
    auto sum = retired_elsewhere_.load();
    for (std::size_t i = 0; i < options_.workers; ++i) {
        sum += workers_[i].counts.retired.load(std::memory_order_acquire);  // [tally] its worker
    }
    return sum;
}

inline void thread_pool_core::tell_if_idle() noexcept {
    bool const ending = gate_.load() != open;
    if ((!ending && idle_waiters_.load() == 0) || !all_retired()) return;
    {
        std::lock_guard const lock(mutex_);  // nobody is between looking and sleeping
        changed_.notify_all();
    }
    if (ending) wake_everybody();
}

inline void thread_pool_core::wake_everybody() noexcept {
    for (std::size_t i = 0; i < options_.workers; ++i) workers_[i].sleeper.unpark();
}

inline void thread_pool_core::must_not_be_inside(char const* verb) const {
    if (place_in(*this)) {
        throw would_deadlock(
            text("%s inside a task or callback of the same executor would wait for that very task",
                 verb));
    }
}

inline void thread_pool_core::wait_idle() {
    if (inert()) return require_open();
    must_not_be_inside("wait_idle()");
    idle_waiters_.fetch_add(1);
    idle_.fence();
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return all_retired(); });
    }
    idle_waiters_.fetch_sub(1);
}

inline void thread_pool_core::shut_down(shutdown_options how) {
    if (inert()) return;
    if (how.wait) must_not_be_inside("shutdown()");
    std::uint32_t expected = open;
    gate_.compare_exchange_strong(expected, shut);
    idle_.fence();
    {
        std::lock_guard const lock(mutex_);
        space_.notify_all();
    }
    if (how.cancel_pending) {
        cancelling_.store(true);
        cancel_everything();
    }
    tell_if_idle();
    if (!how.wait) return;
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return all_retired(); });
    }
    join_threads();
}

inline void thread_pool_core::join_threads() noexcept {
    std::lock_guard const joining(join_mutex_);
    wake_everybody();
    for (std::size_t i = 0; i < options_.workers; ++i) {
        if (workers_[i].thread.joinable()) workers_[i].thread.join();
    }
}

inline void thread_pool_core::abandon_threads() noexcept {
    std::lock_guard const joining(join_mutex_);
    for (std::size_t i = 0; i < options_.workers; ++i) {
        if (workers_[i].thread.joinable()) workers_[i].thread.detach();
    }
}

inline std::string thread_pool_core::broken_text() const {
    std::lock_guard const lock(mutex_);
    return broken_text_;
}

inline void thread_pool_core::break_with(std::string problem) noexcept {
    std::fprintf(stderr, "concur: %s\n", problem.c_str());
    {
        std::lock_guard const lock(mutex_);
        if (broken_text_.empty()) broken_text_ = std::move(problem);
        gate_.store(broken);
        space_.notify_all();
    }
    fail_everything();
    tell_if_idle();
}

/// Gives each task in the queues to `decide`, with the reference of its way.
template <class Decide>
void thread_pool_core::drain(Decide&& decide) noexcept {
    while (!outside_.empty()) {
        // One at a time: what is decided runs user code, which may get here again.
        state* task = nullptr;
        if (outside_.take_batch(1, [&](queue_link& item) { task = &static_cast<state&>(item); })) {
            decide(*task);
        } else {
            yield_thread();
        }
    }
    outside_.wait_for_consumer();  // what it has taken is in its batch now
    for (std::size_t i = 0; i < options_.workers; ++i) {
        auto& worker = workers_[i];
        while (state* const task = worker.batch.take()) decide(*task);
        while (!worker.deque.empty()) {
            if (state* const task = worker.deque.steal()) decide(*task);
        }
    }
    while (auto* const item = by_priority_.take(false)) decide(static_cast<state&>(*item));
}

inline thread_pool_core::~thread_pool_core() {
    // What is left in the queues was decided by others: cancelled, or run inside a wait.
    drain([](state& task) { task.release(); });
}

inline void thread_pool_core::cancel_everything() noexcept {
    drain([](state& task) {
        cancel_task(task);
        task.release();
    });
    while (state_ref const task = dependents_.take()) cancel_task(*task);
}

inline void thread_pool_core::fail_everything() noexcept {
    auto const problem = std::make_exception_ptr(broken_executor(broken_text()));
    auto const fail = [&](state& task) {
        if (!task.claim_unready()) return task.release();
        fail_claimed(task, problem);
        retire_unrun();
    };
    drain(fail);
    while (state_ref task = dependents_.take()) fail(*task.give_up());
}

inline executor_stats thread_pool_core::stats() const {
    executor_stats s;
    s.workers = workers();
    std::uint64_t started = 0, ended = 0;
    auto const read = [](std::atomic<std::uint64_t> const& counter) {
        return counter.load(std::memory_order_acquire);  // [tally] with the worker
    };
    s.failed = unrun_failed_.load();
    s.cancelled = unrun_cancelled_.load();
    auto const unrun = s.failed + s.cancelled;
    for (std::size_t i = 0; i < options_.workers; ++i) {
        auto const& counts = workers_[i].counts;
        auto const completed = read(counts.completed), failed = read(counts.failed),
                   cancelled = read(counts.cancelled);
        s.completed += completed;
        s.failed += failed;
        s.cancelled += cancelled;
        ended += completed + failed + cancelled;
        started += read(counts.started);
    }
    // Read in the order of a task's life backwards, so that no difference is negative.
    s.submitted = items_.load() - internal_.load() + admitted().load() - refused_.load();
    s.running = started > ended ? static_cast<std::size_t>(started - ended) : 0;
    auto const left = s.submitted - unrun - ended;
    s.running = std::min<std::size_t>(s.running, static_cast<std::size_t>(left));
    s.pending = static_cast<std::size_t>(left) - s.running;
    return s;
}

}  // namespace concur::inline v0::detail

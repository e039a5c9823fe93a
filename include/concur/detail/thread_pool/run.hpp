// SPDX-License-Identifier: BSL-1.0
// What a worker of a thread_pool does: takes tasks from where they are, in the order that the pool
// promises, runs them, searches, sleeps.
#pragma once

#include <concur/detail/thread_pool/core.hpp>

namespace concur::inline v0::detail {

inline void thread_pool_core::run_thread(pool_worker& worker) noexcept {
    name_thread(options_.name.empty()
                    ? "concur worker"
                    : text("%s %zu", options_.name.c_str(), worker.index).c_str());
    worker_context place{this, worker.index, &worker.counts, nullptr};
    {
        scoped_context const scope(this_worker_context, place);
        idle_.start_search();
        if (initialize(worker)) work(worker);
    }
    release();
}

inline bool thread_pool_core::initialize(pool_worker& worker) noexcept {
    if (!options_.initializer) return true;
    std::string problem;
    try {
        options_.initializer(worker.index);
        return true;
    } catch (...) {
        problem = text_of(std::current_exception());
    }
    idle_.stop_search();
    break_with(text("thread_pool: the initializer of worker %zu threw: %s", worker.index,
                    problem.c_str()));
    return false;
}

/// Enters and leaves as a searcher.
inline void thread_pool_core::work(pool_worker& worker) {
    for (;;) {
        state* task = wait_for_work(worker);
        if (!task) return;
        do {
            run_queued(worker, *task);
            task = next(worker);
        } while (task);
        idle_.start_search();
    }
}

inline void thread_pool_core::run_queued(pool_worker& worker, state& task) {
    chaos_point();
    if (!claim_and_run(worker, task, true)) task.release();
}

/// `queued`: the caller holds the reference of the task's way here.
inline bool thread_pool_core::claim_and_run(pool_worker& worker, state& task, bool queued) {
    if (this_worker_context->core != this) [[unlikely]] {
        // A task of this pool uses another executor, whose task waits for one of this pool.
        worker_context place{this, worker.index, &worker.counts, this_worker_context};
        scoped_context const scope(this_worker_context, place);
        return claim_and_run(worker, task, queued);
    }
    worker.frames.enter(task, worker.deque.bottom_below(&task));
    bool const won = task.claim(worker.index);
    if (won) {
        if (!queued && !worker.deque.pop_if(&task)) task.retain();
        if (options_.max_pending != 0) left_pending();
        tally::add(worker.counts.started, task.ops->tasks);
        task.ops->run(task);
        tally::add(worker.counts.retired, 1);
    }
    worker.frames.leave();
    return won;
}

inline state* thread_pool_core::next(pool_worker& worker) noexcept {
    if (by_priority_.any_above()) {
        if (auto* const item = by_priority_.take(true)) return static_cast<state*>(item);
    }
    // Now and then outside tasks go first, so that tasks which keep submitting cannot starve them.
    if (++worker.turn % 64 == 0) {
        if (state* const task = next_from_outside(worker)) return task;
    }
    if (state* const task = worker.deque.pop()) return task;
    if (state* const task = next_from_outside(worker)) return task;
    if (state* const task = steal(worker)) return task;
    return static_cast<state*>(by_priority_.take(false));
}

inline state* thread_pool_core::next_from_outside(pool_worker& worker) noexcept {
    if (state* const task = worker.batch.take()) return task;
    // What others have taken and not started was submitted earlier than what is still outside.
    for (std::size_t i = 0; i < options_.workers; ++i) {
        if (state* const task = workers_[i].batch.take()) return task;
    }
    refill(worker);
    return worker.batch.take();
}

/// Takes a batch that is about 10 us of work, so that the price of moving a cache line between CPUs
/// is paid once per batch and not once per task.
inline void thread_pool_core::refill(pool_worker& worker) noexcept {
    if (outside_.empty()) return;
    auto const now = steady_clock::now();
    if (worker.batch_taken != time_point{}) {
        auto const took = now - worker.batch_taken;
        if (took < std::chrono::microseconds(10)) {
            worker.batch_size = std::min(worker.batch_size * 2, worker.batch.capacity);
        } else if (took > std::chrono::microseconds(20)) {
            worker.batch_size = std::max<std::size_t>(worker.batch_size / 2, 1);
        }
    }
    worker.batch_taken = now;
    auto const most = std::min(worker.batch_size, worker.batch.room());
    auto const taken = outside_.take_batch(
        most, [&](queue_link& item) { worker.batch.put(&static_cast<state&>(item)); });
    if (taken > 1) idle_.work_for_workers();
}

inline state* thread_pool_core::steal(pool_worker& worker) noexcept {
    auto const n = options_.workers;
    if (n == 1) return nullptr;
    worker.random = mix64(worker.random);
    auto const first = static_cast<std::size_t>(worker.random % n);
    for (std::size_t i = 0; i < n; ++i) {
        pool_worker& victim = workers_[(first + i) % n];
        if (&victim == &worker) continue;
        if (state* const task = victim.batch.take()) return task;
        if (state* const task = victim.deque.steal()) return task;
    }
    return nullptr;
}

inline bool thread_pool_core::any_work() const noexcept {
    if (!outside_.empty() || !by_priority_.empty()) return true;
    for (std::size_t i = 0; i < options_.workers; ++i) {
        if (!workers_[i].batch.empty() || !workers_[i].deque.empty()) return true;
    }
    return false;
}

/// Searches, then sleeps. Called as a searcher; with a task it is none any more. Null: the end.
inline state* thread_pool_core::wait_for_work(pool_worker& worker) noexcept {
    constexpr int rounds = 50;
    worker.batch_taken = {};  // the time until the next batch is not work
    for (;;) {
        for (int round = 0; round < rounds; ++round) {
            if (state* const task = next(worker)) {
                // The last searcher leaves: if there is more, somebody else has to look for it.
                if (idle_.stop_search() && any_work()) idle_.wake_worker();
                return task;
            }
            for (int spin = 0; spin < 16 && outside_.empty(); ++spin) cpu_relax();
            if (round == 0) tell_if_idle();
            yield_thread();
        }
        if (!sleep(worker)) return nullptr;
    }
}

/// True: searching again. False: the pool is at its end, and the worker counted nowhere.
inline bool thread_pool_core::sleep(pool_worker& worker) noexcept {
    idle_.fall_asleep(worker);
    chaos_point();
    // A place that has been lent meanwhile is not this thread's to get up in.
    if (any_work() && idle_.get_up(worker)) return true;
    tell_if_idle();
    while (idle_.asleep(worker)) {
        if (over() && idle_.get_up(worker)) break;
        worker.sleeper.park();
    }
    if (!over()) return true;
    idle_.stop_search();
    wake_everybody();
    return false;
}

inline bool thread_pool_core::lend_place(worker_context& place) noexcept {
    pool_worker* const worker = options_.initializer ? nullptr : idle_.lend();
    if (worker) place = {this, worker->index, &worker->counts, nullptr};
    return worker != nullptr;
}

inline void thread_pool_core::return_place(worker_context& place) noexcept {
    idle_.take_back(workers_[place.index]);
    // Tasks that the loop submitted may lie in this worker's deque, and its thread sleeps.
    if (any_work()) idle_.work_for_workers();
}

}  // namespace concur::inline v0::detail

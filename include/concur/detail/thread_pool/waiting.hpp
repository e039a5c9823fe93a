// SPDX-License-Identifier: BSL-1.0
// What a worker of a thread_pool does while a task of its waits: runs the awaited task if nobody
// has started it, else takes work that leads to it, and only that; sees when the wait could never
// end.
#pragma once

#include <vector>

#include <concur/detail/base/pointer_set.hpp>
#include <concur/detail/task/input_walk.hpp>
#include <concur/detail/thread_pool/core.hpp>

namespace concur::inline v0::detail {

inline bool thread_pool_core::help(state& target) {
    pool_worker* const here = place_of_this_thread();
    if (!here) return false;
    auto const phase = phase_of(target.look());
    if (phase == phase_running) return run_descendant(*here, target);
    if (phase == phase_pending && !target.ops->inputs) return run_awaited(*here, target);
    bool helped = false;
    input_walk walk;
    walk.go(target, [&](state& task) {
        helped = run_awaited(*here, task) || run_descendant(*here, task) || helped;
        return input_walk::verdict::go_on;
    });
    return helped;
}

/// Runs the task here if nobody has started it.
inline bool thread_pool_core::run_awaited(pool_worker& worker, state& task) {
    auto const seen = task.look();
    if (task.owner != this || phase_of(seen) != phase_pending || (seen & not_ready)) return false;
    return claim_and_run(worker, task, false);
}

/// Takes something that the task submitted from the worker that runs it (leapfrogging: D. Wagner
/// and B. Calder, "Leapfrogging: a portable technique for implementing efficient futures", 1993).
inline bool thread_pool_core::run_descendant(pool_worker& worker, state& task) {
    auto const seen = task.look();
    if (!runs_here(task, seen)) return false;
    pool_worker& runner = workers_[runner_of(seen)];
    if (&runner == &worker) return false;
    auto const position = runner.frames.find(task);
    if (position < 0) return false;
    state* const found = runner.deque.steal(position);
    if (!found) return false;
    chaos_point();
    bool const awaited = references_of(found->look()) > 1;
    if (awaited && phase_of(task.look()) == phase_running) {
        run_queued(worker, *found);
    } else {
        // It may be something else's, or nobody holds its future and so nobody waits for it:
        // running it could need a lock that is held here.
        outside_.push(*found);
        idle_.work_for_workers();
    }
    return true;
}

inline void thread_pool_core::begin_wait(wait_place& wait) {
    pool_worker& here = *place_of_this_thread();
    {
        input_walk walk;  // outlives the lock: what it lets go of may run user code
        std::lock_guard const lock(wait_mutex_);
        if (wait.target && wait.endless && waits_for_itself(here, *wait.target, walk)) {
            throw would_deadlock(
                "this task waits for itself, directly or through others that wait for it");
        }
        wait.outer = std::exchange(here.waits, &wait);
    }
    idle_.helper_sleeps(wait);
}

inline void thread_pool_core::end_wait(wait_place& wait) noexcept {
    idle_.helper_wakes(wait);
    std::lock_guard const lock(wait_mutex_);
    place_of_this_thread()->waits = wait.outer;
}

/// Follows who waits for whom, from `target` to a task under this thread's feet. Waits of other
/// workers stay where they are: the wait lock is held.
inline bool thread_pool_core::waits_for_itself(pool_worker const& worker, state& target,
                                               input_walk& walk) {
    bool found = false;
    pointer_set seen;
    // A task that runs leads on to what its worker waits for.
    std::vector<state*> leads{&target};
    while (!leads.empty() && !found) {
        state& start = *leads.back();
        leads.pop_back();
        if (!seen.insert(&start)) continue;
        walk.go(start, [&](state& task) {
            auto const word = task.look();
            if (!runs_here(task, word)) return input_walk::verdict::go_on;
            pool_worker const& runner = workers_[runner_of(word)];
            found = &runner == &worker;
            // A wait with a limit ends by itself.
            auto const* const wait = runner.waits;
            if (wait && wait->target && wait->endless) leads.push_back(wait->target);
            return found ? input_walk::verdict::stop : input_walk::verdict::go_on;
        });
    }
    return found;
}

}  // namespace concur::inline v0::detail

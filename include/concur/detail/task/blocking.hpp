// SPDX-License-Identifier: BSL-1.0
// How a thread waits for states. Outside of tasks it polls for a moment and then sleeps. Inside a
// task it first runs the work that it waits for, and only that: so waiting inside a task never
// deadlocks, and may be done with a mutex held.
#pragma once

#include <concur/detail/sync/parker.hpp>
#include <concur/detail/task/executor_core.hpp>
#include <concur/detail/task/remote_core.hpp>
#include <concur/detail/task/state.hpp>

namespace concur::inline v0::detail {

/// Wakes one thread when a state is done. It must be removed before it or its parker goes.
struct thread_waiter : waiter {
    explicit thread_waiter(parker& p)
        : waiter(waiter::when::under_lock,
                 [](waiter& w) noexcept { static_cast<thread_waiter&>(w).sleeper.unpark(); }),
          sleeper(p) {}
    parker& sleeper;
};

/// Runs one piece of work that `target` waits for, if the calling thread is a worker of an executor
/// that has some; for a task in another process, reads the replies that have come.
inline bool help_with(state& target) {
    if (target.ops->attend) {
        held_core const core(target);
        return core && core->progress();
    }
    for (auto* place = this_worker_context; place; place = place->outer) {
        if (place->core->help(target)) return true;
    }
    return false;
}

/// Calls `sleep()` after the executors whose worker this thread is know that it sleeps.
template <class Sleep>
void sleep_as_worker(worker_context* place, wait_place const& like, Sleep&& sleep) {
    if (!place) return sleep();
    struct registration {
        registration(executor_core& c, wait_place const& w) : core(c), wait(w) {
            core.begin_wait(wait);
        }
        ~registration() { core.end_wait(wait); }
        executor_core& core;
        wait_place wait;
    } const registered(*place->core, like);
    sleep_as_worker(place->outer, like, sleep);
}

// A wake-up between two threads takes 5 to 45 us, a yield 0.4 us: a few yields catch an answer that
// is on its way and cost little when it is not.
inline constexpr int yields_before_sleep = 6;
inline constexpr int yields_before_helper_sleep = 40;

/// Blocks until `done()`, which becomes true no later than a token reaches `sleeper`. Inside a task
/// it calls `help()` first, which runs a piece of work or says false. `target`: what is waited for,
/// where that is one state; it serves to see deadlocks.
/// False: the deadline passed. Throws would_deadlock.
template <class Done, class Help>
bool block_until(Done&& done, Help&& help, state* target, parker& sleeper, time_point deadline) {
    bool const endless = deadline == time_point::max();
    bool const inside = this_worker_context != nullptr;
    bool const helps = inside || remote_cores::any();
    auto const late = [&] { return !endless && steady_clock::now() >= deadline; };
    for (;;) {
        int const rounds = inside ? yields_before_helper_sleep : yields_before_sleep;
        bool again = false;
        for (int round = 0; round < rounds && !again; ++round) {
            if (done()) return true;
            if (late()) return done();
            again = (helps && help()) || spin_until([&] { return done() || sleeper.take(); }, 0);
            if (!again) yield_thread();
        }
        if (again) continue;
        if (this_thread_manages) {
            this_thread_manages->keep_going(deadline);
            continue;
        }
        remote_cores::attend_all();
        if (!inside) {
            sleeper.park(deadline);
            continue;
        }
        sleep_as_worker(this_worker_context, {target, endless, &sleeper}, [&] {
            if (!done() && !help()) sleeper.park(deadline);
        });
    }
}

/// done() for callers that poll. A task that polls for a task of its own full executor would poll
/// for ever; so after many looks in vain its thread does the work itself.
inline bool poll_done(state& s) noexcept {
    if (s.done()) return true;
    if (s.ops->attend) {
        help_with(s);
        return s.done();
    }
    if (!this_worker_context) return false;
    static constinit thread_local int looks_in_vain = 0;
    if (++looks_in_vain < 256) return false;
    looks_in_vain = 0;
    try {
        help_with(s);
    } catch (...) {
        report_current(s.owner);
    }
    return s.done();
}

/// Blocks until the state is done; false when the deadline passes first.
inline bool wait_done(state& s, time_point deadline = time_point::max()) {
    if (s.done()) return true;
    if (deadline != time_point::max() && steady_clock::now() >= deadline) return poll_done(s);
    require_reachable(s);
    if (s.ops->attend && !this_worker_context) {
        if (held_core const core{s}) core->wait_for(s, deadline);
        return s.done();
    }
    while (this_worker_context && help_with(s)) {
        if (s.done()) return true;
    }
    parker sleeper;
    thread_waiter node(sleeper);
    if (!s.add_waiter(node)) return true;
    struct unlinker {
        ~unlinker() { s.remove_waiter(node); }
        state& s;
        thread_waiter& node;
    } const unlink_at_end{s, node};
    return block_until([&] { return s.done(); }, [&] { return help_with(s); }, &s, sleeper,
                       deadline);
}

/// Waits for a state that may refer to the caller's locals: whatever happens, it is done
/// afterwards.
inline void wait_ended(state& s) noexcept {
    // A limit, if a far one: nothing is said of deadlocks, for nobody could act on it.
    constexpr auto far = time_point::max() - duration(1);
    while (!s.done()) {
        try {
            wait_done(s, far);
        } catch (...) {
            report_current(s.owner);
        }
    }
}

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// The executors of other processes whose tasks a loop's coroutines await. For a moment the loop's
// thread reads their replies itself, which saves two wake-ups; then their own threads have to.
#pragma once

#include <array>

#include <concur/detail/base/cpus.hpp>
#include <concur/detail/task/remote_core.hpp>

namespace concur::inline v0::detail {

// Protocol [remote waits] - all of it on the loop's thread.
//
//   entries   executors that a suspended coroutine awaits: how often, and a reference
//   looking   the loop's thread reads their replies, once a turn, and does not sleep. If not: their
//             own threads were told, after the last wait began, that somebody waits
//
// Invariant  while the loop sleeps, each reply is read by the executor's own thread, which wakes
//            the loop as any other thread does [loop]. It is told before the loop sleeps, and looks
//            once more before it sleeps itself [doorbell]: what came in between is not lost.
// Death      of a worker, or of what the task needs: the executor's own thread finds out, whoever
//            reads. The executor ends while it is awaited: its tasks are decided before it goes,
//            and the reference keeps it callable until the coroutine is resumed.
class remote_waits {
public:
    remote_waits() = default;
    remote_waits(remote_waits const&) = delete;
    remote_waits& operator=(remote_waits const&) = delete;
    ~remote_waits() = default;  // no coroutine waits any more, so nothing is in it

    /// Of a task that is not done. Null: it is done.
    remote_core* add(state& task) noexcept {
        held_core const core(task);
        if (!core) return nullptr;
        auto* const place = find(core.get());
        if (!place || !polls()) {
            core->attend();
        } else {
            looking_ = true;
            until_ = steady_clock::now() + worth;
        }
        if (!place) return nullptr;
        if (place->waits++ == 0) {
            place->core = core.get();
            place->core->retain();
        }
        return place->core;
    }
    void remove(remote_core* core) noexcept {
        auto* const place = find(core);
        if (--place->waits != 0) return;
        std::exchange(place->core, nullptr)->release();
        for (auto const& e : entries_) {
            if (e.core) return;
        }
        looking_ = false;
    }

    bool looking() const noexcept { return looking_; }

    /// Reads what replies have come. True: something was completed.
    bool look() noexcept {
        bool any = false;
        for (auto const& e : entries_) any = (e.core && e.core->progress()) || any;
        return any;
    }
    /// When the moment is over: leaves the replies to the executors' own threads.
    void stop_looking_if_late() noexcept {
        if (!looking_ || steady_clock::now() < until_) return;
        looking_ = false;
        chaos_point();
        for (auto const& e : entries_) {
            if (e.core) e.core->attend();
        }
    }

private:
    struct entry {
        remote_core* core = nullptr;
        std::size_t waits = 0;
    };
    // About as long as a wake-up takes, as in wait_for() of a process pool.
    static constexpr auto worth = std::chrono::microseconds(30);
    static bool polls() noexcept {
        static bool const spare = usable_cpus() > 1;
        return spare;
    }

    /// Its entry, or a free one; null: there is none.
    entry* find(remote_core* core) noexcept {
        entry* found = nullptr;
        for (auto& e : entries_) {
            if (e.core == core) return &e;
            if (!e.core) found = &e;
        }
        return found;
    }

    // More executors at once are served by their own threads from the start.
    std::array<entry, 4> entries_{};
    time_point until_{};
    bool looking_ = false;
};

}  // namespace concur::inline v0::detail

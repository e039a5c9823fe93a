// SPDX-License-Identifier: BSL-1.0
// What one worker of a thread_pool owns. Its thread holds it, or a caller that the thread has lent
// its place to; never both.
#pragma once

#include <atomic>
#include <thread>

#include <concur/detail/sync/deque.hpp>
#include <concur/detail/sync/inbox.hpp>
#include <concur/detail/sync/parker.hpp>
#include <concur/detail/task/context.hpp>
#include <concur/detail/task/executor_core.hpp>
#include <concur/detail/task/state.hpp>

namespace concur::inline v0::detail {

// Protocol [frames]
//
//   frames   the tasks that a worker runs, nested by waits: each with the deque position at which
//            it started. What the worker pushes while a task runs lies at that position or above.
//   owner    enters a frame before it claims the task, leaves it after the task is done
//   helper   looks a running task up, steals at or above its position, and then checks that the
//   task
//            is still running
//
// Invariant  if it is, the frame was there all the time, so what was stolen is a descendant of that
//            task: it was submitted by it, or by what ran inside its waits. Batches from outside
//            are in the inbox, never in the deque.
// Order      position before task (release), task (acquire) before position; the final check reads
//            the task's word with acquire.
class frame_stack {
public:
    void enter(state& task, std::int64_t position) noexcept {
        auto const d = depth_.load(std::memory_order_relaxed);  // [frames] own writes
        if (d < most) {
            frames_[d].position.store(position, std::memory_order_relaxed);  // [frames]
            frames_[d].task.store(&task, std::memory_order_release);         // [frames] with find()
        }
        depth_.store(d + 1, std::memory_order_release);  // [frames] with find()
    }

    void leave() noexcept {
        auto const d = depth_.load(std::memory_order_relaxed);  // [frames] own writes
        depth_.store(d - 1, std::memory_order_release);         // [frames] with find()
    }

    /// Any thread: where the task started, or -1.
    std::int64_t find(state const& task) const noexcept {
        auto d = depth_.load(std::memory_order_acquire);  // [frames] with enter()
        for (d = d < most ? d : most; d > 0; --d) {
            auto const& f = frames_[d - 1];
            if (f.task.load(std::memory_order_acquire) == &task) {  // [frames] with enter()
                return f.position.load(std::memory_order_relaxed);  // [frames] before task
            }
        }
        return -1;
    }

private:
    static constexpr std::size_t most = 64;  // deeper ones are not helped with, only waited for
    struct frame {
        std::atomic<state const*> task{nullptr};
        std::atomic<std::int64_t> position{0};
    };
    std::atomic<std::size_t> depth_{0};
    frame frames_[most];
};

struct alignas(cache_line) pool_worker {
    std::size_t index = 0;
    std::thread thread;
    work_deque<state> deque;
    inbox<state> batch;
    frame_stack frames;
    alignas(cache_line) tally counts;
    parker sleeper;

    // The owner's alone.
    std::size_t batch_size = 1;
    time_point batch_taken{};
    std::uint32_t turn = 0;
    std::uint64_t random = 0;

    // Under the core's wait lock: the innermost wait of the tasks of this worker.
    wait_place* waits = nullptr;

    // Under the idle set's lock: the thread sleeps, next in the list; or it sleeps because somebody
    // else holds this place.
    pool_worker* next_asleep = nullptr;
    enum class thread_state : std::uint8_t { awake, asleep, lent } state_of_thread{};
};

}  // namespace concur::inline v0::detail

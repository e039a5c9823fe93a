// SPDX-License-Identifier: BSL-1.0
// Which workers of a process pool have to go: those that run too long, those that have done their
// share of tasks or have grown too large.
#pragma once

#include <concur/detail/process_pool/dispatch.hpp>

namespace concur::inline v0::detail {

// ---- all under the lock

inline void process_core::kill(worker_slot& worker) noexcept {
    auto& life = view_.worker(worker.index).life;
    if (!nursery_ || life.phase.load() == worker_life::ended) return;
    // Its parent may be stopped: better not to need it.
    auto const& death = view_.worker(worker.index).death;
    if (pid_t const pid = death.holder(); pid != 0) {
        auto const process = open_pidfd(pid);
        // It holds its sensor yet, so no other process had got that number before.
        if (process && death.holder() == pid && send_signal(process, SIGKILL)) return;
    }
    try {
        nursery_->kill(static_cast<std::uint32_t>(worker.index), life.generation.load(), SIGKILL);
    } catch (broken_executor const&) {
        // The nursery is dead, so the kernel has killed the worker.
    }
}

inline void process_core::kill_all() noexcept {
    for (std::size_t i = 0; i < settings_.workers; ++i) kill(workers_[i]);
}

/// A worker that has done its share, or has grown too large, ends behind what it has started.
inline void process_core::recycle(worker_slot& worker) noexcept {
    auto& ring = *worker.ring;
    if (worker.is != worker_slot::alive || ring.full()) return;
    worker.is = worker_slot::leaving;
    if (worker.idle) std::erase(idle_, &worker);
    worker.idle = false;
    auto const oldest = ring.oldest();  // revoking moves it on
    state* taken = nullptr;
    for (auto position = ring.next(); position-- != oldest;) {
        state* const task = worker.calls[position % ring_slots];
        if (!task || ring.look(position) != fate::offered || !ring.revoke(position)) continue;
        take_out(worker, position);
        task->set_next(std::exchange(taken, task));
    }
    put_back(taken);
    worker.calls[ring.offer(0, call_frame::quit, 0, [](std::byte*) {}) % ring_slots] = nullptr;
    view_.worker(worker.index).bell.ring();
}

/// Ends what runs too long; when the next limit may pass.
inline time_point process_core::watch_limits() noexcept {
    auto next = time_point::max();
    auto const now = steady_clock::now();
    for (std::size_t i = 0; i < settings_.workers; ++i) {
        if (workers_[i].not_before > now) next = std::min(next, workers_[i].not_before);
    }
    std::erase_if(timed_, [&](timed_call& call) {
        auto& worker = workers_[call.worker];
        if (call.position < worker.ring->oldest()) return true;  // it has been replied to
        if (now >= call.look_at) {
            auto const fate_now = worker.ring->look(call.position);
            if (fate_now == fate::replied || fate_now == fate::revoked) return true;
            auto const& words = view_.worker(call.worker).words;
            bool const runs = words.started_call.load() == call.position;
            auto const started = words.started_at.load();
            call.look_at = (runs ? time_point(duration(started)) : now) + call.limit;
            bool const there = worker.is == worker_slot::alive || worker.is == worker_slot::leaving;
            if (runs && now >= call.look_at && there) {
                worker.late = true;
                worker.late_start = started;
                kill(worker);
                return true;
            }
        }
        next = std::min(next, call.look_at);
        return false;
    });
    return next;
}

}  // namespace concur::inline v0::detail

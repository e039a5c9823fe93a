// SPDX-License-Identifier: BSL-1.0
// How a process pool hands calls out: encodes them, fills the rings of its workers as deep as short
// tasks need and no deeper, and takes back what a busy worker has not started when another is idle.
#pragma once

#include <concur/detail/process_pool/core.hpp>

namespace concur::inline v0::detail {

inline int priority_of(state const& task) noexcept {
    auto const* const extras =
        task.ops->extras ? task.ops->extras(const_cast<state&>(task)) : nullptr;
    return extras ? extras->priority : 0;
}

inline call_frame& frame_of(state& task) noexcept { return task.ops->remote->frame(task); }

// ---- from a ready task to a call

inline void process_core::enqueue(state& task) noexcept {
    // Away while it is encoded: a canceller must not free the callable under the codec.
    if (!(task.look() & away) && !task.send_away()) return task.release();
    try {
        encode(task);
    } catch (...) {
        auto problem = std::current_exception();
        task.take_back(phase_running);
        fail_claimed(task, std::move(problem));
        return retire(1);
    }
    if (task.look() & stop_asked) return stop_before_start(task);
    hand_over(task);
    if (gate_.load() != open) {
        if (cancelling_.load()) cancel_everything();
        if (gate_.load() == broken) fail_everything();
    }
}

/// It was asked to stop while it was encoded, when nobody could recall it.
inline void process_core::stop_before_start(state& task) noexcept {
    {
        std::lock_guard const lock(mutex_);
        drop_block(task);
        if (settings_.max_pending != 0) {
            --pending_;
            changed_.notify_all();
        }
        task.take_back(phase_cancelled);
    }
    if (task.ops->remote->keeps_call) task.ops->drop(task);
    count_unrun(task.ops->tasks, unrun::cancelled);
    pass_lock(task);
    retire(1);
    task.tell();
    task.release();
}

/// To a worker that has room, or into the queue.
inline void process_core::hand_over(state& task) noexcept {
    std::unique_lock lock(mutex_);
    int const priority = priority_of(task);
    if (queued_ == 0 && priority == 0) {
        if (worker_slot* const worker = choose(true)) {
            frame_of(task).order = ++last_order_;
            offer(*worker, task);
            lock.unlock();
            view_.worker(worker->index).bell.ring();
            return;
        }
    }
    if (priority > 0) take_rings_back();  // what nobody has started comes behind it
    push(task, priority);
    constexpr std::size_t now_and_then = 16;
    if (depth_ == 1 || !idle_.empty() || ++unread_ >= now_and_then) {
        unread_ = 0;
        return relieve(lock);
    }
    watch_backlog();
}

/// The pool has more to do than it can. Whoever submits reads replies too, a few at a time: so a
/// stream of short tasks needs no other thread.
[[gnu::noinline]] inline void process_core::relieve(std::unique_lock<std::mutex>& lock) noexcept {
    reply_batch batch;
    read_replies(batch);
    pump();
    watch_backlog();
    lock.unlock();
    complete(batch);
}

/// Under the lock.
inline void process_core::watch_backlog() noexcept {
    if (queued_ == 0) return;
    attend(backlog);
    if (!any_alive()) wake_manager();  // nobody replies, so nobody else would start one
}

inline void process_core::encode(state& task) {
    auto& frame = frame_of(task);
    set_place(task, on_its_way);
    // Before the callable goes: whoever fails the task frees it.
    auto const function = portable(reinterpret_cast<std::uintptr_t>(task.ops->remote->entry));
    task.ops->remote->encode(task, *this, frame);
    frame.function = function;
}

/// The address of code of ours as the index of its module and an offset.
inline std::uint64_t process_core::portable(std::uint64_t function) {
    auto const known = view_.pool().modules_known.load();
    for (std::size_t i = 0; i < known; ++i) {
        auto const& range = ranges_[i];
        if (function >= range.begin && function < range.end) {
            return std::uint64_t{i} << pool_memory::function_bits | (function - range.base);
        }
    }
    return learn_module(function);
}

[[gnu::cold]] inline std::uint64_t process_core::learn_module(std::uint64_t function) {
    auto const where = locate_code(reinterpret_cast<void const*>(function));
    std::lock_guard const lock(mutex_);
    auto& pool = view_.pool();
    auto i = pool.modules_known.load();
    if (i == pool_memory::most_modules) {
        throw broken_executor(
            text("process_pool: functions of more than %zu libraries", pool_memory::most_modules));
    }
    for (auto const& m : loaded_modules()) {
        if (m.key != where.module) continue;
        pool.modules[i].key = m.key;
        auto const path = module_path(m.key);
        path.copy(pool.modules[i].path, sizeof pool.modules[i].path - 1);
        ranges_[i] = {m.begin, m.end, m.base};
        pool.modules_known.store(i + 1);
        return std::uint64_t{i} << pool_memory::function_bits | where.offset;
    }
    throw broken_executor("process_pool: the function lives in a library that was just unloaded");
}

// ---- the queue; all under the lock

inline void process_core::push(state& task, int priority) noexcept {
    ++queued_;
    frame_of(task).order = ++last_order_;
    if (priority != 0) {
        try {
            return by_priority_.push(priority, task);
        } catch (std::bad_alloc const&) {
            // The queue needs no memory; the order is not what it should be, the task is safe.
        }
    }
    task.set_next(nullptr);
    (last_ ? last_->set_next(&task) : static_cast<void>(first_ = &task));
    last_ = &task;
}

inline bool comes_before(state const& one, state const& other) noexcept {
    auto const order = [](state const& s) { return frame_of(const_cast<state&>(s)).order; };
    return static_cast<std::int32_t>(order(one) - order(other)) < 0;
}

/// Tasks that had been handed out already go back to where they were: before all that came later.
/// Cost: one walk over them when they are linked in their order.
inline void process_core::put_back(state* tasks) noexcept {
    state* last = nullptr;
    while (tasks) {
        state& task = *std::exchange(tasks, static_cast<state*>(tasks->next()));
        ++queued_;
        if (settings_.max_pending != 0) ++pending_;
        if (put_back_by_priority(task)) continue;
        if (last && comes_before(task, *last)) last = nullptr;
        auto* next = last ? static_cast<state*>(last->next()) : first_;
        while (next && comes_before(*next, task)) {
            last = next;
            next = static_cast<state*>(next->next());
        }
        task.set_next(next);
        (last ? last->set_next(&task) : static_cast<void>(first_ = &task));
        if (!next) last_ = &task;
        last = &task;
    }
}

inline bool process_core::put_back_by_priority(state& task) noexcept {
    int const priority = priority_of(task);
    if (priority == 0) return false;
    try {
        by_priority_.put_back(priority, task, [](queue_link const& one, queue_link const& other) {
            return comes_before(static_cast<state const&>(one), static_cast<state const&>(other));
        });
        return true;
    } catch (std::bad_alloc const&) {
        return false;  // as in push()
    }
}

/// The next task that nobody has cancelled; null: none is queued.
inline state* process_core::pop() noexcept {
    for (;;) {
        state* task = static_cast<state*>(by_priority_.take(true));
        if (!task && first_) {
            task = first_;
            first_ = static_cast<state*>(task->next());
            if (!first_) last_ = nullptr;
        }
        if (!task) task = static_cast<state*>(by_priority_.take(false));
        if (!task) return nullptr;
        --queued_;
        set_place(*task, on_its_way);
        if (task->look() & away) return task;
        task->release();  // cancelled; its memory may go here: results of users do not stand in it
    }
}

// ---- the workers; all under the lock

inline void process_core::pump() noexcept {
    while (queued_ != 0) {
        // With a priority, nothing is given to a worker that could not start it at once.
        bool const plain = !by_priority_.any_above() && first_;
        worker_slot* const worker = choose(plain);
        if (!worker) break;
        state* const task = pop();
        if (!task) {
            if (worker->outstanding == 0) put_to_idle(*worker);
            break;
        }
        offer_and_ring_later(*worker, *task);
    }
    while (queued_ == 0 && !idle_.empty() && rebalance()) {
    }
    while (to_ring_) {
        view_.worker(to_ring_->index).bell.ring();
        to_ring_->to_ring = false;
        to_ring_ = to_ring_->next_to_ring;
    }
}

/// For many calls at once: one bell each.
inline void process_core::offer_and_ring_later(worker_slot& worker, state& task) noexcept {
    offer(worker, task);
    if (std::exchange(worker.to_ring, true)) return;
    worker.next_to_ring = std::exchange(to_ring_, &worker);
}

/// The worker that should get the next call: the one that was idle last, for it may still poll;
/// else the one with the shortest ring, if that is not deep enough yet.
inline process_core::worker_slot* process_core::choose(bool ahead) noexcept {
    while (!idle_.empty()) {
        worker_slot* const worker = idle_.back();
        idle_.pop_back();
        worker->idle = false;
        if (takes_calls(*worker)) return worker;
    }
    if (depth_ == 1 || !ahead) return nullptr;
    worker_slot* best = nullptr;
    for (std::size_t i = 0; i < settings_.workers; ++i) {
        auto& worker = workers_[i];
        if (takes_calls(worker) && worker.outstanding < depth_ &&
            (!best || worker.outstanding < best->outstanding)) {
            best = &worker;
        }
    }
    return best;
}

inline bool process_core::any_alive() const noexcept {
    for (std::size_t i = 0; i < settings_.workers; ++i) {
        if (workers_[i].is == worker_slot::alive) return true;
    }
    return false;
}

inline bool process_core::takes_calls(worker_slot const& worker) const noexcept {
    auto const most = settings_.max_tasks_per_worker;
    return worker.is == worker_slot::alive && !worker.ring->full() &&
           (most == 0 || worker.given < most) &&
           (settings_.memory_limit == 0 || view_.worker(worker.index).words.over_limit.load() == 0);
}

inline void process_core::put_to_idle(worker_slot& worker) noexcept {
    if (worker.idle || !takes_calls(worker)) return;
    worker.idle = true;
    // Never more than were reserved. One that has only just been started comes last.
    idle_.insert(worker.replied ? idle_.end() : idle_.begin(), &worker);
}

inline void process_core::offer(worker_slot& worker, state& task) noexcept {
    auto const& frame = frame_of(task);
    auto const position = worker.ring->offer(
        frame.function, frame.kind, frame.bytes,
        [&](std::byte* to) { std::memcpy(to, frame.payload, sizeof frame.payload); });
    worker.calls[position % ring_slots] = &task;
    worker.in_block[position % ring_slots] = (frame.kind & call_frame::in_block) || frame.pins;
    set_place(task, ring_place(worker.index, position));
    ++worker.outstanding;
    ++worker.given;
    // Whoever is idle first gets it instead, which somebody has to see; and what a task throws
    // that nobody waits for is to be reported.
    if ((worker.outstanding > 1 && settings_.workers > 1) || task.ops->reports) attend(backlog);
    if (settings_.max_pending != 0) {
        --pending_;
        changed_.notify_all();
    }
    if (frame.kind & call_frame::in_block) {
        auto const* const block = view_.at(block_of(frame).offset);
        if (reinterpret_cast<call_header const*>(block)->timed) {
            auto const limit = *task.ops->extras(task)->timeout;
            timed_.push_back({worker.index, position, limit, deadline_after(limit)});
            wake_manager();
        }
    }
}

/// Somebody is idle and nothing is queued: half of what the busiest worker has not started is
/// handed out again. False: there was none.
inline bool process_core::rebalance() noexcept {
    worker_slot* busiest = nullptr;
    for (std::size_t i = 0; i < settings_.workers; ++i) {
        if (workers_[i].outstanding > (busiest ? busiest->outstanding : 1)) busiest = &workers_[i];
    }
    if (!busiest || busiest->is != worker_slot::alive) return false;
    auto& ring = *busiest->ring;
    auto const wanted = busiest->outstanding / 2;
    std::size_t taken = 0;
    for (auto position = ring.next(); taken != wanted && position-- != ring.oldest();) {
        state* const task = busiest->calls[position % ring_slots];
        if (!task || ring.look(position) != fate::offered) continue;
        if (!ring.revoke(position)) break;  // the worker is here already
        take_out(*busiest, position);
        task->set_next(nullptr);
        put_back(task);
        ++taken;
    }
    while (queued_ != 0 && !idle_.empty()) {
        worker_slot* const worker = choose(false);
        state* const task = worker ? pop() : nullptr;
        if (!task) break;
        offer_and_ring_later(*worker, *task);
    }
    return taken != 0;
}

/// A call of this worker is not its business any more.
inline void process_core::take_out(worker_slot& worker, std::uint64_t position) noexcept {
    worker.calls[position % ring_slots] = nullptr;
    --worker.outstanding;
    --worker.given;
}

inline void process_core::drop_block(state& task) noexcept {
    auto& frame = frame_of(task);
    if (auto* const pins = std::exchange(frame.pins, nullptr)) {
        auto* first = loose_pins_.load();
        do {
            pins->next = first;
        } while (!loose_pins_.compare_exchange_weak(first, pins));
    }
    if (!(frame.kind & call_frame::in_block)) return;
    frame.kind = static_cast<std::uint16_t>(frame.kind & ~call_frame::in_block);
    auto const place = block_of(frame);
    blocks_.free(place.offset - view_.pool().blocks_at, place.bytes);
}

// ---- cancelling

inline void process_core::recall_task(state& task) noexcept {
    if (inert()) return;  // the rings are the parent's too
    bool way = false;
    {
        std::lock_guard const lock(mutex_);
        if (!(task.look() & away)) return;
        if (in_ring(task)) {
            auto& worker = workers_[ring_worker(task)];
            auto const position = ring_position(task);
            if (!worker.ring->revoke(position)) return;
            take_out(worker, position);
            if (worker.outstanding == 0) put_to_idle(worker);
            way = true;
        } else if (!is_queued(task)) {
            return;  // it is being encoded, or its reply has come
        } else if (settings_.max_pending != 0) {
            --pending_;
            changed_.notify_all();
        }
        drop_block(task);
        task.take_back(phase_cancelled);
    }
    if (task.ops->remote->keeps_call) task.ops->drop(task);
    count_unrun(task.ops->tasks, unrun::cancelled);
    pass_lock(task);
    retire(1);
    task.tell();
    if (way) task.release();
}

inline bool process_core::has_started(state& task) noexcept {
    if (inert()) return false;
    std::lock_guard const lock(mutex_);
    if (place_of(task) == being_completed) return true;
    if (!(task.look() & away) || !in_ring(task)) return false;
    return workers_[ring_worker(task)].ring->look(ring_position(task)) == fate::taken;
}

inline void process_core::forward_stop(state& task) noexcept {
    if (inert()) return;
    std::unique_lock lock(mutex_);
    if (!(task.look() & away)) return;
    if (is_queued(task)) {
        lock.unlock();
        return recall_task(task);
    }
    if (!in_ring(task)) return;  // where it goes next, stop_asked is looked at
    auto& words = view_.worker(ring_worker(task)).words;
    words.stop_call.store(ring_position(task));
    words.stop_bell.fetch_add(1);
    futex_wake_shared(words.stop_bell);
}

}  // namespace concur::inline v0::detail

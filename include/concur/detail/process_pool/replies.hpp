// SPDX-License-Identifier: BSL-1.0
// How replies come back: any thread reads them out of the rings under the lock, and completes the
// tasks without it. A thread that waits does so itself; it sleeps on the pool's bell if it is the
// first to sleep.
#pragma once

#include <concur/detail/process_pool/dispatch.hpp>

namespace concur::inline v0::detail {

class completing;
CONCUR_API inline constinit thread_local completing const* innermost_completing = nullptr;

/// Whose tasks the calling thread completes while it lives, maybe within those of another pool: it
/// runs code of users, which must not wait for these pools.
class completing {
public:
    explicit completing(process_core const& core) noexcept
        : core_(&core), outer_(std::exchange(innermost_completing, this)) {}
    completing(completing const&) = delete;
    completing& operator=(completing const&) = delete;
    ~completing() { innermost_completing = outer_; }

    static bool tasks_of(process_core const& core) noexcept {
        auto const* c = innermost_completing;
        while (c && c->core_ != &core) c = c->outer_;
        return c != nullptr;
    }

private:
    process_core const* const core_;  // compared, never used: it may be gone
    completing const* const outer_;
};

inline bool process_core::progress() noexcept {
    if (inert()) return false;
    std::unique_lock lock(mutex_, std::try_to_lock);
    return lock.owns_lock() && advance(lock);
}

// About 50 us, if a value is made of many pieces.
inline constexpr std::size_t brief_reply = std::size_t{64} << 10;

inline bool process_core::progress_briefly() noexcept {
    if (inert()) return false;
    std::unique_lock lock(mutex_, std::try_to_lock);
    return lock.owns_lock() && advance(lock, brief_reply);
}

/// The same for whoever goes to sleep when there is nothing: it has to look.
inline bool process_core::progress_for_sure(std::size_t largest) noexcept {
    std::unique_lock lock(mutex_);
    return advance(lock, largest);
}

inline bool process_core::advance(std::unique_lock<std::mutex>& lock,
                                  std::size_t largest) noexcept {
    reply_batch batch;
    batch.largest = largest;
    bool any = false;
    if (queued_ != 0 && !idle_.empty()) pump();
    while (read_replies(batch)) {
        any = true;
        pump();
        lock.unlock();
        complete(batch);
        if (!batch.again) break;
        lock.lock();
    }
    if (batch.left) attend(somebody_waits);
    return any;
}

/// Under the lock. True: there is something to complete, or to pump.
inline bool process_core::read_replies(reply_batch& batch) noexcept {
    batch.size = 0;
    batch.again = batch.left = false;
    bool any = false;
    for (std::size_t i = 0; i < settings_.workers; ++i) {
        auto& worker = workers_[i];
        if (worker.outstanding != 0) any = read_replies_of(worker, batch) || any;
    }
    replies_since_ += batch.size;
    reads_ += batch.size != 0;
    if (batch.size == 0 && queued_ != 0) ++looks_in_vain_;
    if (replies_since_ >= 2 * depth_ || looks_in_vain_ >= 64) tune();
    return any;
}

inline std::uint64_t bytes_in_block(reply_slot const& slot) noexcept {
    reply_in_block block;
    std::memcpy(&block, slot.payload, sizeof block);
    return block.bytes;
}

inline bool process_core::read_replies_of(worker_slot& worker, reply_batch& batch) noexcept {
    auto& ring = *worker.ring;
    bool any = false;
    while (auto const* const slot = ring.next_reply()) {
        if (batch.size == reply_batch::most) {
            batch.again = true;
            return any;
        }
        if (slot->kind & reply_is_in_block && bytes_in_block(*slot) > batch.largest) {
            batch.left = true;
            break;
        }
        any = true;
        auto const position = ring.oldest();
        // The states of a long queue have left the cache since they were made.
        __builtin_prefetch(worker.calls[(position + 4) % ring_slots], 1);
        state* const task = std::exchange(worker.calls[position % ring_slots], nullptr);
        auto& one = batch.all[batch.size];
        one.task = task;
        one.worker = &worker;
        one.pins = nullptr;
        one.position = position;
        one.has_parcels = slot->kind & reply_has_parcels;
        one.kind = static_cast<reply_kind>(slot->kind & 0xff);
        one.in_block = slot->kind & reply_is_in_block;
        one.bytes = std::min<std::size_t>(slot->bytes, reply_slot::room);
        std::memcpy(one.payload, slot->payload, reply_slot::room);
        ring.pop_reply();
        worker.replied = true;
        --worker.outstanding;
        if (one.in_block) {
            std::memcpy(&one.block, one.payload, sizeof one.block);
            ++worker.open_replies;
        }
        if (task) {
            set_place(*task, being_completed);
            if (worker.in_block[position % ring_slots]) {
                one.pins = std::exchange(frame_of(*task).pins, nullptr);
                drop_block(*task);
            }
        }
        ++batch.size;
    }
    if (any && worker.outstanding == 0) {
        put_to_idle(worker);
        if (worker.is == worker_slot::alive && !worker.idle) wake_manager();  // its last task
    }
    return any;
}

/// Without the lock: codecs, destructors and waiters run here.
inline void process_core::complete(reply_batch& batch) noexcept {
    if (batch.size == 0) return;
    completing const here(*this);
    // Counted before anybody is told; what turns out to be no value corrects it.
    std::size_t values = 0;
    bool parcels = false;
    for (std::size_t i = 0; i < batch.size; ++i) {
        auto const& one = batch.all[i];
        values += one.task && one.kind == reply_kind::value;
        parcels = parcels || one.has_parcels;
    }
    if (parcels) parcels_.receive();
    if (values != 0) completed_.fetch_add(values);
    std::uint64_t jobs = 0;
    bool blocks = false;
    for (std::size_t i = 0; i < batch.size; ++i) {
        auto& one = batch.all[i];
        blocks = blocks || one.in_block;
        reply_view reply{one.kind, 0, one.payload, one.bytes};
        std::byte* region = nullptr;
        bool gives_back = false;
        if (one.in_block || one.kind != reply_kind::value) {
            region = view_.replies(one.worker->index);
            reply.pid = view_.worker(one.worker->index).life.pid.load();
        }
        if (one.in_block) {
            // What a dying worker may have scribbled must not lead out of its region.
            auto const size = view_.pool().reply_bytes;
            bool const sound =
                one.block.offset <= size && one.block.bytes <= size - one.block.offset;
            gives_back = sound && one.block.offset >= 128 && one.block.offset % 64 == 0;
            reply.data = sound ? region + one.block.offset : one.payload;
            reply.bytes = sound ? static_cast<std::size_t>(one.block.bytes) : 0;
            reply.items = sound ? static_cast<std::size_t>(one.block.items) : 0;
            reply.took = duration(one.block.took);
        }
        if (one.task) {
            one.task->ops->remote->complete(*one.task, reply);
            ++jobs;
        } else if (one.kind == reply_kind::exception) {
            fail_initializer(reply);
        }
        // What came back is known here by now; or it is dropped.
        delete one.pins;
        if (one.has_parcels) parcels_.drop(one.worker->index, one.position);
        if (gives_back) give_back_reply(region, one.block.offset);
    }
    if (blocks) {
        std::lock_guard const lock(mutex_);
        for (std::size_t i = 0; i < batch.size; ++i) {
            auto& worker = *batch.all[i].worker;
            if (!batch.all[i].in_block || --worker.open_replies != 0) continue;
            if (worker.is == worker_slot::dead) wake_manager();  // its successor may start now
        }
    }
    if (jobs != 0) retire(jobs);
}

/// How many calls a worker's ring should hold: about 200 us of work, and one ahead of the one that
/// runs, so that the worker need not wait for this process; of long tasks none ahead, for they gain
/// nothing and would wait behind each other. Under the lock.
inline void process_core::tune() noexcept {
    constexpr auto aim = std::chrono::microseconds(200);
    looks_in_vain_ = 0;
    auto const now = steady_clock::now();
    if (replies_since_ == 0) {
        if (now - measured_at_ > 4 * aim) depth_ = 1;
        return;
    }
    auto const took = now - std::exchange(measured_at_, now);
    auto const replies = std::exchange(replies_since_, 0);
    auto const each = std::max<duration>(took / static_cast<long>(replies), duration(1));
    auto const wanted = static_cast<std::size_t>(aim / each);
    constexpr auto is_long = std::chrono::milliseconds(2);
    auto const most = std::min<std::size_t>(4 * depth_, ring_slots);
    depth_ = std::max<std::size_t>(std::min(wanted, most), each < is_long ? 2 : 1);
}

// ---- who waits

inline void process_core::attend(attention level) noexcept {
    auto seen = attention_.load();
    while (seen < level) {
        if (attention_.compare_exchange_weak(seen, level)) return wake_manager();
    }
}

inline void process_core::wake_manager() noexcept {
    auto& control = view_.pool().control;
    control.fetch_add(1);
    futex_wake_shared(control);
}

/// Rings the pool's bell when the task is done, whoever does it: its leader sleeps there.
struct bell_waiter : waiter {
    explicit bell_waiter(doorbell& b)
        : waiter(waiter::when::under_lock,
                 [](waiter& w) noexcept { static_cast<bell_waiter&>(w).bell.ring(); }),
          bell(b) {}
    doorbell& bell;
};

/// The reply to a task in a ring is there; or the task is elsewhere, and only the lock tells.
inline bool process_core::may_be_replied(state const& task) const noexcept {
    auto const place = place_of(task);
    if (!(place & 1)) return true;
    auto const position = place >> 16;
    auto const& slot = view_.worker((place & 0xffff) >> 1).ring.replies[position % ring_slots];
    return slot.done.load(std::memory_order_relaxed) == position;  // [ring] a hint; then the lock
}

/// Looks for about as long as a blocked wake-up takes, while CPUs are spare. True: something moved.
inline bool process_core::poll_for(state& task) noexcept {
    bool const polls = view_.pool().most_awake > 0;
    constexpr auto worth = std::chrono::microseconds(30);
    if (!polls) return progress() || task.done();
    time_point until{};
    for (;;) {
        for (int i = 0; i < 32; ++i) {
            if (task.done() || (may_be_replied(task) && progress())) return true;
            cpu_relax();
        }
        if (progress()) return true;
        auto const now = steady_clock::now();
        if (until == time_point()) until = now + worth;
        if (now >= until) return false;
    }
}

inline void process_core::wait_for(state& task, time_point deadline) {
    auto const late = [&] {
        return deadline != time_point::max() && steady_clock::now() >= deadline;
    };
    while (!task.done()) {
        if (std::this_thread::get_id() == manager_id_) {  // a callback waits: life goes on
            auto const seen = view_.pool().control.load();
            auto const limit = tend();
            if (task.done() || late()) return;
            sleep_until_needed(seen, std::min(limit, deadline));
            continue;
        }
        if (poll_for(task)) continue;
        if (late()) return;
        auto const taken = lead_.take();
        if (taken == bell_lead::taken::no) {
            follow(task, deadline);
        } else {
            if (taken == bell_lead::taken::from_listener) attend(somebody_waits);
            lead(task, deadline);
        }
    }
}

/// Sleeps on the pool's bell, and reads the replies for everybody.
inline void process_core::lead(state& task, time_point deadline) {
    auto& bell = view_.pool().bell;
    bell_waiter node(bell);
    if (task.add_waiter(node)) {
        bell.wait([&] { return task.done() || progress_for_sure(); }, deadline);
        task.remove_waiter(node);
    }
    lead_.leave();
    if (attention_.load() != none) wake_manager();
}

/// An event loop is about to sleep. Where others wait too, it leaves the reading to the pool's
/// thread, for it may be in foreign code for long.
inline bool process_core::listen(void const* who) noexcept {
    if (inert() || !event_ || attention_.load() == somebody_waits ||
        !lead_.listen(view_.pool().bell, who)) {
        attend();
        return false;
    }
    if (attention_.load() != none) wake_manager();  // it may have found the bell held [lead]
    progress_for_sure(brief_reply);
    return true;
}

inline void process_core::stop_listening(void const* who, bool woken) noexcept {
    if (inert() || !lead_.stop_listening(view_.pool().bell, who, woken, event_.get())) return;
    if (attention_.load() != none) wake_manager();
}

/// Somebody else sleeps on the bell, and completes this task too.
inline void process_core::follow(state& task, time_point deadline) {
    parker sleeper;
    thread_waiter node(sleeper);
    if (!task.add_waiter(node)) return;
    attend(somebody_waits);
    sleeper.park(deadline);
    task.remove_waiter(node);
}

// ---- callbacks

inline void process_core::call_back(waiter* list) noexcept {
    admitted_.fetch_add(1);
    internal_.fetch_add(1);
    auto* head = callbacks_.load();
    do {
        list->previous = head;
    } while (!callbacks_.compare_exchange_weak(head, list));
    if (ended_.load()) {
        run_callbacks();
    } else {
        wake_manager();
    }
}

inline void process_core::run_callbacks() noexcept {
    waiter* lists = callbacks_.exchange(nullptr);
    waiter* ordered = nullptr;
    while (lists) {  // the newest first: turn them round
        waiter* const older = lists->previous;
        lists->previous = ordered;
        ordered = std::exchange(lists, older);
    }
    completing const here(*this);
    while (ordered) {
        waiter* call = ordered;
        ordered = ordered->previous;
        while (call) {
            waiter* const next = call->next;
            call->notify(*call);
            call = next;
        }
        retire(1);
    }
}

}  // namespace concur::inline v0::detail

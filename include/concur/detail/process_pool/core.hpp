// SPDX-License-Identifier: BSL-1.0
// The parts of a process pool in the process that owns it, and how calls get in. Calls are encoded
// by whoever makes them ready, then stand in a queue here or in a worker's ring; replies are read
// by whoever waits, or by the pool's own thread where nobody does.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <concur/detail/process_pool/layout.hpp>
#include <concur/detail/process_pool/serve.hpp>
#include <concur/detail/remote/task.hpp>
#include <concur/detail/sync/priority_queue.hpp>
#include <concur/detail/task/remote_core.hpp>
#include <concur/executor.hpp>

namespace concur::inline v0::detail {

/// A user's initializer, ready to travel.
struct travelling_initializer {
    std::uint64_t function = 0;  ///< its entry; 0: none
    std::vector<std::byte> bytes;
    pin_list pins{};
};

struct process_settings {
    std::size_t workers;
    std::size_t max_tasks_per_worker;
    std::size_t memory_limit;
    std::size_t max_pending;
    start_method start;
    std::string name;
    travelling_initializer initializer;
};

// Protocol [process_pool] - states of a task
//
//   state              where                                     who moves it on
//   pending            on its way into enqueue()                 the thread that encodes it
//   pending, away      in queue_ (link: the next one, even)      pump(), recall, the end of the
//   pool pending, away      in a ring (link: odd, see ring_place)     its worker by taking it;
//   recall and
//                                                                rebalance() by revoking it first
//   pending, away      in the hands of who encodes it, or who read its reply: that thread
//
// Invariant  everything here but the encoding and the completing happens under mutex_; foreign code
//            (codecs, callbacks, destructors of users) never does. A task that is away is in one
//            place only, and that place holds the reference of its way.
// Reading    replies are read by any thread in progress(); one thread at a time sleeps on the
//            pool's bell: the leader. That is a thread in wait_for(), or the pool's own thread when
//            somebody waits in another way (attention_), or an event loop, see [lead]. Whoever
//            completes something for a leader that sleeps rings the bell for it.
// Death      of a worker: reap() reads its last replies, gives worker_lost to the one call that it
//            had taken, and puts those that it had not started back in front of the queue.
class process_core final : public remote_core {
public:
    static constexpr bool runs_in_submit = false;
    static constexpr bool remote = true;

    process_core(process_settings settings, handler<std::exception_ptr> on_error);
    void start();

    bool inert() const noexcept override {
        return forked_since(generation_) || starting_as_worker_;
    }
    void admit(bool may_wait) override;
    void admit_internal(bool may_wait) override;
    void require_open() override;
    void enqueue(state& task) noexcept override;
    void count_unrun(std::size_t tasks, unrun how) noexcept override;
    void leave_queue() noexcept override;
    void retire_unrun() noexcept override { retire(1); }
    void retain() noexcept override { references_.fetch_add(1); }
    void release() noexcept override;
    bool help(state&) override { return progress(); }
    void begin_wait(wait_place&) override {}
    void end_wait(wait_place&) noexcept override {}
    void count_items(std::size_t n) noexcept override { items_.fetch_add(n); }
    void count_unrun_items(std::size_t n) noexcept override { cancelled_.fetch_add(n); }
    std::size_t workers() const noexcept override {
        return gate_.load() == broken ? 0 : settings_.workers;
    }
    std::size_t chunks_in_flight() const noexcept override { return 3 * settings_.workers; }
    bool lend_place(worker_context&) noexcept override { return false; }
    void return_place(worker_context&) noexcept override {}
    void add_dependent(dependent_link& link) override;
    void remove_dependent(dependent_link& link) noexcept override;

    void recall_task(state& task) noexcept override;
    bool has_started(state& task) noexcept override;
    void forward_stop(state& task) noexcept override;
    bool progress() noexcept override;
    bool progress_briefly() noexcept override;
    void attend() noexcept override {
        if (!inert()) attend(somebody_waits);
    }
    int reply_event() const noexcept override { return event_.get(); }
    bool listen(void const* who) noexcept override;
    void stop_listening(void const* who, bool woken) noexcept override;
    void keep_going(time_point until) noexcept override;
    void wait_for(state& task, time_point deadline) override;
    std::byte* allocate_block(std::size_t bytes, block_place& place) override;
    void free_block(block_place place) noexcept override;
    void count_done(std::uint64_t phase, std::size_t n) noexcept override {
        (phase == phase_value ? completed_ : failed_).fetch_add(n);
    }
    void count_broken_value() noexcept override {
        failed_.fetch_add(1);
        completed_.fetch_sub(1);
    }
    void call_back(waiter* callbacks) noexcept override;

    executor_stats stats() const;
    void wait_idle();
    void shut_down(shutdown_options how);
    void kill_workers();
    /// The owner goes: waits for everything, unless the calling thread runs a callback of the pool;
    /// then its own thread sees to the rest.
    void leave() noexcept;

private:
    ~process_core() { drop_pins(); }

    struct worker_slot;
    struct reply_batch;
    struct lost_calls;
    struct timed_call {
        std::size_t worker;
        std::uint64_t position;
        duration limit;
        time_point look_at;
    };
    enum gate_state : std::uint32_t { open, shut, broken };
    enum attention : std::uint32_t { none, backlog, somebody_waits };

    // Calls: dispatch.hpp
    void encode(state& task);
    std::uint64_t portable(std::uint64_t function);
    std::uint64_t learn_module(std::uint64_t function);
    void push(state& task, int priority) noexcept;
    state* pop() noexcept;
    void pump() noexcept;
    worker_slot* choose(bool ahead) noexcept;
    void hand_over(state& task) noexcept;
    void relieve(std::unique_lock<std::mutex>& lock) noexcept;
    void watch_backlog() noexcept;
    void offer(worker_slot& worker, state& task) noexcept;
    void offer_and_ring_later(worker_slot& worker, state& task) noexcept;
    bool rebalance() noexcept;
    bool takes_calls(worker_slot const& worker) const noexcept;
    void put_to_idle(worker_slot& worker) noexcept;
    void take_out(worker_slot& worker, std::uint64_t position) noexcept;
    void put_back(state* tasks) noexcept;
    bool put_back_by_priority(state& task) noexcept;
    void drop_block(state& task) noexcept;
    void drop_pins() noexcept;
    void stop_before_start(state& task) noexcept;
    bool any_alive() const noexcept;

    // Replies: replies.hpp
    static constexpr std::size_t any_size = ~std::size_t{0};
    bool progress_for_sure(std::size_t largest = any_size) noexcept;
    bool advance(std::unique_lock<std::mutex>& lock, std::size_t largest = any_size) noexcept;
    bool read_replies(reply_batch& batch) noexcept;
    bool read_replies_of(worker_slot& worker, reply_batch& batch) noexcept;
    void complete(reply_batch& batch) noexcept;
    void fail_initializer(reply_view const& reply) noexcept;
    void tune() noexcept;
    void lead(state& task, time_point deadline);
    void follow(state& task, time_point deadline);
    bool may_be_replied(state const& task) const noexcept;
    bool poll_for(state& task) noexcept;
    void attend(attention level) noexcept;
    void retire(std::uint64_t jobs) noexcept;

    // Life: manager.hpp
    void manage() noexcept;
    time_point tend() noexcept;
    void sleep_until_needed(std::uint32_t seen, time_point until) noexcept;
    void calm_down() noexcept;
    void run_callbacks() noexcept;
    void wake_manager() noexcept;
    void look_after(worker_slot& worker, lost_calls& lost) noexcept;
    bool is_over(worker_slot& worker) const noexcept;
    void could_not_start(worker_slot& worker, lost_calls& lost) noexcept;
    void take_back_calls(worker_slot& worker, lost_calls& lost) noexcept;
    void reap(worker_slot& worker, lost_calls& lost) noexcept;
    void lose(worker_slot& worker, state& task, lost_calls& lost) noexcept;
    void lose_item(worker_slot& worker, std::uint64_t position, state& task,
                   lost_calls& lost) noexcept;
    void nursery_is_gone(lost_calls& lost) noexcept;
    std::unique_ptr<nursery> make_nursery();
    void replace_nursery() noexcept;
    void place_initializer();
    std::string ending_text(worker_slot const& worker) const;
    std::string title() const;
    bool knows_ending(worker_slot& worker) const noexcept;
    std::exception_ptr problem_of(worker_slot const& worker, state const& task) const noexcept;
    bool may_retry(state& task, worker_slot const& worker, std::int32_t attempt) const noexcept;
    void settle(lost_calls& lost) noexcept;
    void start_worker(worker_slot& worker) noexcept;
    void start_over(worker_slot& worker);
    void give_initializer(worker_slot& worker);
    void recycle(worker_slot& worker) noexcept;
    void kill(worker_slot& worker) noexcept;
    void kill_all() noexcept;
    time_point watch_limits() noexcept;  // limits.hpp, as the two above

    // The end, or rest: shutdown.hpp
    void break_with(std::string problem) noexcept;
    void fail_everything() noexcept;
    void cancel_everything() noexcept;
    template <class Decide>
    void empty_queue(bool begun_too, Decide&& decide) noexcept;
    void take_rings_back(bool begun_too = true) noexcept;
    bool all_retired() const noexcept { return retired_.load() == admitted_.load(); }
    std::string broken_text() const;
    void must_not_be_inside(char const* verb) const;
    void join_manager() noexcept;

    process_settings const settings_;
    bool const starting_as_worker_ = starting_as_worker();
    std::uint32_t const generation_ = fork_generation();
    segment segment_;
    pool_view view_;
    std::unique_ptr<nursery> nursery_;  // null while the pool's own thread makes another one
    std::unique_ptr<worker_slot[]> workers_;
    std::thread manager_;
    std::thread::id manager_id_;

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    arena blocks_;
    state* first_ = nullptr;  // the queue
    state* last_ = nullptr;
    std::size_t queued_ = 0;
    std::uint32_t last_order_ = 0;  // call_frame::order
    priority_queue by_priority_;
    std::vector<worker_slot*> idle_;  // last used last
    worker_slot* to_ring_ = nullptr;  // whose bells are due, under the lock
    std::size_t unread_ = 0;          // submits since the last look at the replies
    std::vector<timed_call> timed_;
    dependent_list dependents_;
    std::size_t pending_ = 0;  // with max_pending
    block_place initializer_at_{};
    std::uint64_t initializer_function_ = 0;
    std::string broken_text_;
    std::size_t early_deaths_ = 0;  // in a row, of workers that never replied
    struct module_range {
        std::uintptr_t begin, end, base;
    } ranges_[pool_memory::most_modules] = {};
    // How deep the rings are filled, and what that is judged by.
    std::size_t depth_ = 1;
    std::size_t replies_since_ = 0;
    std::size_t looks_in_vain_ = 0;
    std::size_t reads_ = 0;  // that found something, since the manager looked
    time_point measured_at_;

    parcel_box parcels_;
    std::atomic<pin_list*> loose_pins_{nullptr};  // of calls that are over, to be dropped
    std::atomic<waiter*> callbacks_{nullptr};
    std::atomic<std::uint32_t> attention_{none};
    bell_lead lead_;
    unique_fd event_;  // of the pool's bell; empty: event loops have to wait in another way
    std::atomic<std::uint32_t> gate_{open};
    std::atomic<bool> cancelling_{false};
    std::atomic<bool> killed_{false};
    std::atomic<bool> ended_{false};
    std::atomic<std::size_t> references_{1};
    std::atomic<std::size_t> waiting_for_rest_{0};        // in wait_idle()
    alignas(64) std::atomic<std::uint64_t> admitted_{0};  // jobs
    std::atomic<std::uint64_t> internal_{0};              // of these no tasks
    std::atomic<std::uint64_t> refused_{0};
    std::atomic<std::uint64_t> items_{0};
    alignas(64) std::atomic<std::uint64_t> retired_{0};
    std::atomic<std::uint64_t> completed_{0}, failed_{0}, cancelled_{0}, workers_lost_{0};
    std::optional<remote_cores::entry> listed_;
};

/// What the pool knows of one worker.
struct process_core::worker_slot {
    enum life : std::uint8_t { absent, alive, leaving, dead };

    std::size_t index = 0;
    life is = absent;
    bool idle = false;     // it is in idle_
    bool to_ring = false;  // it has got calls since its bell was rung
    worker_slot* next_to_ring = nullptr;
    bool replied = false;         // since its start
    bool late = false;            // we have killed it: what it ran has passed its limit
    std::int64_t late_start = 0;  // when that had started
    std::uint32_t generation_before = 0;
    time_point not_before;  // it is started, for it could not be a moment ago
    ending how;             // it ended, as far as is known
    time_point over_since;  // unless zero: its end was seen, but not how it ended
    std::size_t given = 0;  // tasks since its start
    std::size_t outstanding = 0;
    std::optional<call_side> ring;
    state* calls[ring_slots] = {};   // null: revoked, or the initializer
    bool in_block[ring_slots] = {};  // of calls: there is something to be freed
    std::size_t open_replies = 0;    // whose block is still being read
};

/// Where a task in a ring is, in its link: odd, which no pointer is.
constexpr std::uintptr_t ring_place(std::size_t worker, std::uint64_t position) noexcept {
    return static_cast<std::uintptr_t>(position) << 16 | worker << 1 | 1;
}
// The link is read and written under the lock, or by the one thread that has the task in its hands.
inline std::uintptr_t place_of(state const& task) noexcept {
    return task.link.load(std::memory_order_relaxed);  // [process_pool] the lock orders it
}
inline void set_place(state& task, std::uintptr_t place) noexcept {
    task.link.store(place, std::memory_order_relaxed);  // [process_pool] the lock orders it
}
inline bool in_ring(state const& task) noexcept { return place_of(task) & 1; }
inline std::size_t ring_worker(state const& task) noexcept {
    return (place_of(task) & 0xffff) >> 1;
}
inline std::uint64_t ring_position(state const& task) noexcept { return place_of(task) >> 16; }
/// In the link of a task that is away, but neither queued nor in a ring.
inline constexpr std::uintptr_t on_its_way = 2;
inline constexpr std::uintptr_t being_completed = 4;  // its reply has come
inline bool is_queued(state const& task) noexcept {
    auto const link = place_of(task);
    return !(link & 1) && link != on_its_way && link != being_completed;
}

/// Replies that were taken out of the rings, to be completed without the lock.
struct process_core::reply_batch {
    static constexpr std::size_t most = 64;
    struct one {
        state* task;
        worker_slot* worker;
        pin_list* pins;
        std::uint64_t position;
        reply_kind kind;
        bool in_block;
        bool has_parcels;
        std::size_t bytes;
        reply_in_block block;
        alignas(64) std::byte payload[reply_slot::room];
    };
    std::size_t size = 0;
    std::size_t largest = any_size;  // a reply of more bytes, and what follows, is left
    bool again = false;              // it was full before all was read
    bool left = false;               // there was such a reply
    one all[most];
};

// ---- implementation: how work gets in

inline void process_core::require_open() {
    if (forked_since(generation_)) {
        throw broken_executor("this executor was made before a fork(); make one in the child");
    }
    if (starting_as_worker_ || entry_missed()) {
        throw broken_executor(
            "process_pool: this pool was made before main() in a process that serves as a worker, "
            "and does nothing there; make it in main() or later");
    }
    switch (gate_.load()) {
        case open:
            return;
        case shut:
            throw executor_shut_down();
        default:
            throw broken_executor(broken_text());
    }
}

inline void process_core::admit(bool may_wait) {
    if (inert()) require_open();
    if (settings_.max_pending != 0) {
        std::unique_lock lock(mutex_);
        if (may_wait && !place_in(*this) && std::this_thread::get_id() != manager_id_) {
            changed_.wait(lock, [this] {
                if (pending_ < settings_.max_pending || gate_.load() != open) return true;
                attend(somebody_waits);
                return false;
            });
        }
        ++pending_;
    }
    admitted_.fetch_add(1);
    if (gate_.load() != open) {
        refused_.fetch_add(1);
        leave_queue();
        retire(1);
        require_open();
    }
}

inline void process_core::admit_internal(bool may_wait) {
    internal_.fetch_add(1);
    try {
        admit(may_wait);
    } catch (...) {
        internal_.fetch_sub(1);
        throw;
    }
}

inline void process_core::leave_queue() noexcept {
    if (settings_.max_pending == 0) return;
    std::lock_guard const lock(mutex_);
    --pending_;
    changed_.notify_all();
}

inline void process_core::count_unrun(std::size_t tasks, unrun how) noexcept {
    (how == unrun::failed ? failed_ : cancelled_).fetch_add(tasks);
}

inline void process_core::retire(std::uint64_t jobs) noexcept {
    retain();
    if (loose_pins_.load()) drop_pins();
    retired_.fetch_add(jobs);
    if (all_retired()) {
        // Whoever waits has said so before it looked at the counts.
        if (waiting_for_rest_.load() != 0) {
            std::lock_guard const lock(mutex_);  // nobody is between looking and sleeping
            changed_.notify_all();
        }
        if (gate_.load() != open) wake_manager();
    }
    release();
}

/// Not under the lock: the memory may go.
inline void process_core::drop_pins() noexcept {
    auto* pins = loose_pins_.exchange(nullptr);
    while (pins) delete std::exchange(pins, pins->next);
}

inline void process_core::release() noexcept {
    if (references_.fetch_sub(1) == 1) delete this;
}

inline void process_core::add_dependent(dependent_link& link) {
    dependents_.add(link);
    if (cancelling_.load()) cancel_everything();
    if (gate_.load() == broken) fail_everything();
}

inline void process_core::remove_dependent(dependent_link& link) noexcept {
    dependents_.remove(link);
}

inline std::byte* process_core::allocate_block(std::size_t bytes, block_place& place) {
    std::lock_guard const lock(mutex_);
    place = {view_.pool().blocks_at + blocks_.allocate(bytes), bytes};
    return view_.at(place.offset);
}

inline void process_core::free_block(block_place place) noexcept {
    if (inert()) return;
    std::lock_guard const lock(mutex_);
    blocks_.free(place.offset - view_.pool().blocks_at, place.bytes);
}

}  // namespace concur::inline v0::detail

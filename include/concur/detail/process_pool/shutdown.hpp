// SPDX-License-Identifier: BSL-1.0
// How a process pool starts, and how it comes to its end, or to rest: wait_idle, shutdown,
// kill_workers, a broken initializer; and its statistics.
#pragma once

#include <concur/detail/process_pool/manager.hpp>

namespace concur::inline v0::detail {

/// The entry of the first call when the user gives no initializer: the reply says that the worker
/// lives.
inline void say_hello(incoming_call&) {}

[[gnu::cold]] inline process_core::process_core(process_settings settings,
                                                handler<std::exception_ptr> on_error)
    : remote_core(std::move(on_error)), settings_(std::move(settings)) {}

/// Throws broken_executor, std::system_error.
[[gnu::cold]] inline void process_core::start() {
    if (starting_as_worker_) return;  // inert: see require_open()
    auto const n = settings_.workers;
    auto const words = pool_view::words_end(n);
    // As much address space as there is memory, for the calls and for each worker's replies: pages
    // that nobody touches do not exist.
    auto const memory = static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * page_bytes();
    auto const all = affordable_bytes(words + (n + 1) * memory, words + (n + 1) * (1u << 20));
    auto const each = (all - words) / (n + 1) / 4096 * 4096;
    segment_ = segment::create(all);
    parcels_.open();
    event_ = make_event();
    view_ = pool_view(segment_.data());
    auto& pool = view_.pool();
    pool.blocks_at = words;
    pool.replies_at = words + each;
    pool.reply_bytes = each;
    pool.memory_limit = settings_.memory_limit;
    pool.most_awake = static_cast<std::int32_t>(usable_cpus()) - 1;
    settings_.name.copy(pool.name, sizeof pool.name - 1);
    blocks_ = arena(each);
    workers_ = std::make_unique<worker_slot[]>(n);
    idle_.reserve(n);
    timed_.reserve(n * ring_slots);
    for (std::size_t i = 0; i < n; ++i) workers_[i].index = i;
    auto const& initializer = settings_.initializer;
    auto const function = initializer.function != 0 ? initializer.function
                                                    : reinterpret_cast<std::uintptr_t>(&say_hello);
    initializer_function_ = portable(function);
    if (initializer.function != 0) place_initializer();
    nursery_ = make_nursery();
    {
        std::lock_guard const lock(mutex_);
        for (std::size_t i = 0; i < n; ++i) start_over(workers_[i]);
    }
    manager_ = std::thread([this] {
        retain();
        manage();
        release();
    });
    manager_id_ = manager_.get_id();
    listed_.emplace(*this);
}

[[gnu::cold]] inline void process_core::place_initializer() {
    auto const& bytes = settings_.initializer.bytes;
    call_header header;
    header.bytes = bytes.size();
    auto* const block = allocate_block(header.arguments_at() + bytes.size(), initializer_at_);
    std::memcpy(block, &header, sizeof header);
    if (!bytes.empty()) std::memcpy(block + header.arguments_at(), bytes.data(), bytes.size());
}

[[gnu::cold]] inline std::unique_ptr<nursery> process_core::make_nursery() {
    nursery_options options;
    options.start = settings_.start;
    options.segment_fd = segment_.fd();
    options.segment_bytes = segment_.size();
    options.parcels_fd = parcels_.worker_end();
    options.event_fd = event_.get();
    options.lives_offset = pool_view::workers_at() + offsetof(worker_memory, life);
    options.stride = sizeof(worker_memory);
    options.workers = settings_.workers;
    auto const cpus = static_cast<std::size_t>(view_.pool().most_awake) + 1;
    options.threads = std::max<std::size_t>(cpus / settings_.workers, 1);  // asked once: 0.1 ms
    options.control_offset = offsetof(pool_memory, control);
    options.entry = &serve_pool;
    return std::make_unique<nursery>(options);
}

inline void process_core::must_not_be_inside(char const* verb) const {
    if (completing::tasks_of(*this)) {
        throw would_deadlock(text(
            "%s inside a callback of the same executor would wait for that very callback", verb));
    }
}

inline void process_core::wait_idle() {
    if (inert()) return require_open();
    must_not_be_inside("wait_idle()");
    waiting_for_rest_.fetch_add(1);
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] {
            if (all_retired()) return true;
            attend(somebody_waits);
            return false;
        });
    }
    waiting_for_rest_.fetch_sub(1);
}

inline void process_core::shut_down(shutdown_options how) {
    if (inert()) return;
    if (how.wait) must_not_be_inside("shutdown()");
    std::uint32_t expected = open;
    gate_.compare_exchange_strong(expected, shut);
    {
        std::lock_guard const lock(mutex_);
        changed_.notify_all();
    }
    if (how.cancel_pending) {
        cancel_everything();  // before the pool's thread does the same: they are told in order
        cancelling_.store(true);
        cancel_everything();
    }
    attend(somebody_waits);
    wake_manager();
    if (!how.wait) return;
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return ended_.load(); });
    }
    join_manager();
}

inline void process_core::join_manager() noexcept {
    std::unique_lock lock(mutex_);
    if (!manager_.joinable()) return;
    auto thread = std::move(manager_);
    lock.unlock();
    thread.join();
}

inline void process_core::leave() noexcept {
    if (inert()) return;
    if (completing::tasks_of(*this)) {
        shut_down({.wait = false, .cancel_pending = false});
        std::lock_guard const lock(mutex_);
        if (manager_.joinable()) manager_.detach();
    } else {
        shut_down({});
    }
    listed_.reset();
    release();
}

inline void process_core::kill_workers() {
    if (inert()) return;
    std::uint32_t expected = open;
    gate_.compare_exchange_strong(expected, shut);
    killed_.store(true);
    cancelling_.store(true);
    cancel_everything();
    std::lock_guard const lock(mutex_);
    kill_all();
    changed_.notify_all();
    attend(somebody_waits);
    wake_manager();
}

inline std::string process_core::broken_text() const {
    std::lock_guard const lock(mutex_);
    return broken_text_;
}

/// The reply to a worker's first call says that the user's initializer threw.
inline void process_core::fail_initializer(reply_view const& reply) noexcept {
    std::string why = title() + ": the initializer of a worker failed: ";
    try {
        std::rethrow_exception(decode_exception({reply.data, reply.bytes}, reply.pid));
    } catch (std::exception const& e) {
        why += e.what();
    }
    break_with(std::move(why));
}

inline void process_core::break_with(std::string problem) noexcept {
    {
        std::lock_guard const lock(mutex_);
        if (gate_.load() == broken) return;
        std::fprintf(stderr, "concur: %s\n", problem.c_str());
        broken_text_ = std::move(problem);
        gate_.store(broken);
        kill_all();
        changed_.notify_all();
    }
    fail_everything();
    wake_manager();
}

/// Gives each task that no worker has taken to `decide`, away and with the reference of its way.
/// `begun_too`: also those that go on, or again, after the death of a worker.
template <class Decide>
void process_core::empty_queue(bool begun_too, Decide&& decide) noexcept {
    for (;;) {
        state* task;
        {
            std::lock_guard const lock(mutex_);
            take_rings_back(begun_too);
            state* kept = nullptr;
            while ((task = pop())) {
                if (settings_.max_pending != 0) --pending_;
                if (begun_too || !(frame_of(*task).kind & call_frame::begun)) break;
                task->set_next(std::exchange(kept, task));
            }
            put_back(kept);
            if (!task) {
                if (queued_ != 0) pump();
                return;
            }
            drop_block(*task);
        }
        decide(*task);
    }
}

/// What no worker has started goes back into the queue. Under the lock.
inline void process_core::take_rings_back(bool begun_too) noexcept {
    constexpr auto skip = call_frame::begun;
    for (std::size_t i = 0; i < settings_.workers; ++i) {
        auto& worker = workers_[i];
        if (worker.outstanding == 0) continue;
        auto& ring = *worker.ring;
        auto const oldest = ring.oldest();  // revoking moves it on
        state* taken = nullptr;
        for (auto position = ring.next(); position-- != oldest;) {
            state* const task = worker.calls[position % ring_slots];
            if (!task || (!begun_too && (frame_of(*task).kind & skip))) continue;
            if (ring.look(position) != fate::offered || !ring.revoke(position)) continue;
            take_out(worker, position);
            task->set_next(std::exchange(taken, task));
        }
        put_back(taken);
        if (worker.outstanding == 0) put_to_idle(worker);
    }
}

inline void process_core::cancel_everything() noexcept {
    empty_queue(killed_.load(), [this](state& task) {
        task.take_back(phase_cancelled);
        if (task.ops->remote->keeps_call) task.ops->drop(task);
        count_unrun(task.ops->tasks, unrun::cancelled);
        pass_lock(task);
        retire(1);
        task.tell();
        task.release();
    });
    while (state_ref const task = dependents_.take()) cancel_task(*task);
}

inline void process_core::fail_everything() noexcept {
    auto const problem = std::make_exception_ptr(broken_executor(broken_text()));
    empty_queue(true, [&](state& task) {
        if (task.ops->remote->fail) {
            task.ops->remote->fail(task, problem);
        } else {
            complete_with_problem(task, problem);
        }
        retire(1);
    });
    while (state_ref task = dependents_.take()) {
        if (!task->claim_unready()) continue;
        fail_claimed(*task.give_up(), problem);
        retire_unrun();
    }
}

inline executor_stats process_core::stats() const {
    const_cast<process_core&>(*this).progress();  // of what has ended, nobody may have read it
    executor_stats s;
    s.workers = workers();
    s.completed = completed_.load();
    s.failed = failed_.load();
    s.cancelled = cancelled_.load();
    s.workers_lost = workers_lost_.load();
    auto const ended = s.completed + s.failed + s.cancelled;
    s.submitted = items_.load() - internal_.load() + admitted_.load() - refused_.load();
    auto const left =
        s.submitted > ended ? static_cast<std::size_t>(s.submitted - ended) : std::size_t{0};
    s.submitted = ended + left;
    std::lock_guard const lock(mutex_);
    for (std::size_t i = 0; workers_ && i < settings_.workers; ++i) {
        auto const& worker = workers_[i];
        if (worker.outstanding == 0) continue;
        auto const oldest = worker.ring->oldest();
        if (worker.calls[oldest % ring_slots] && worker.ring->look(oldest) == fate::taken) {
            ++s.running;
        }
    }
    s.running = std::min(s.running, left);
    s.pending = left - s.running;
    return s;
}

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// The heart of thread_pool: its workers, the ways on which tasks reach them, and its end. It is
// shared by the pool object, the worker threads and tasks that wait for inputs; the last one out
// frees it. Any thread may call what is public.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <concur/detail/base/chaos.hpp>
#include <concur/detail/base/linux.hpp>
#include <concur/detail/base/text.hpp>
#include <concur/detail/sync/injection_queue.hpp>
#include <concur/detail/sync/priority_queue.hpp>
#include <concur/detail/task/blocking.hpp>
#include <concur/detail/thread_pool/idle_set.hpp>
#include <concur/detail/thread_pool/worker.hpp>
#include <concur/executor.hpp>

namespace concur::inline v0::detail {

class input_walk;

// Protocol [end]
//
//   admitted  jobs announced, counted before the gate is read
//   retired   jobs over: per worker, and elsewhere for those decided without a worker
//   gate      open, shut (shutdown), broken (an initializer threw); it only moves forward
//
// Invariant  retired <= admitted at all times, and a job admits its children before it retires. So
//            if the sum of retired, read first, equals admitted, read second, nothing was pending
//            or running when admitted was read.
// Exit       a worker leaves when the gate is not open and all are retired. Whoever retires a job
//            elsewhere, and each worker on its way to sleep, tells those who wait for that.
// Lifetime   a job that is not retired keeps the pool's destructor waiting; whoever retires one on
// a
//            foreign thread holds a reference meanwhile.
class thread_pool_core final : public executor_core {
public:
    static constexpr bool runs_in_submit = false;

    struct options {
        std::size_t workers;
        std::string name;
        handler<std::size_t> initializer;
        handler<std::exception_ptr> on_error;
        std::size_t max_pending;
    };

    [[gnu::cold]] explicit thread_pool_core(options o);

    [[gnu::cold]] void start_threads();

    // ---- the submitters' side
    void admit(bool may_wait) override;
    void admit_internal(bool may_wait) override;
    void enqueue(state& task) noexcept override;
    [[gnu::cold]] void require_open() override;

    // ---- tasks that no worker runs
    void count_unrun(std::size_t tasks, unrun how) noexcept override {
        (how == unrun::cancelled ? unrun_cancelled_ : unrun_failed_).fetch_add(tasks);
    }
    void leave_queue() noexcept override {
        if (options_.max_pending != 0) left_pending();
    }
    void retire_unrun() noexcept override;
    [[gnu::cold]] void add_dependent(dependent_link& link) override;
    [[gnu::cold]] void remove_dependent(dependent_link& link) noexcept override;

    // ---- waiting inside tasks
    bool help(state& target) override;
    [[gnu::cold]] void begin_wait(wait_place& wait) override;
    [[gnu::cold]] void end_wait(wait_place& wait) noexcept override;

    // ---- loops and maps
    void count_items(std::size_t n) noexcept override { items_.fetch_add(n); }
    void count_unrun_items(std::size_t n) noexcept override { unrun_cancelled_.fetch_add(n); }
    std::size_t workers() const noexcept override {
        return gate_.load() == broken ? 0 : options_.workers;
    }
    std::size_t chunks_in_flight() const noexcept override { return options_.workers * 2 + 2; }
    /// Never with an initializer, which only that worker's own thread has run.
    bool lend_place(worker_context& place) noexcept override;
    void return_place(worker_context& place) noexcept override;

    // ---- the pool's own members
    [[gnu::cold]] executor_stats stats() const;
    [[gnu::cold]] void wait_idle();
    [[gnu::cold]] void shut_down(shutdown_options how);
    /// What the destructor of the pool does instead of its own end.
    [[gnu::cold]] void abandon_threads() noexcept;
    [[gnu::cold]] void join_threads() noexcept;
    bool inert() const noexcept override { return forked_since(generation_); }

    void retain() noexcept override {
        references_.fetch_add(1, std::memory_order_relaxed);  // [end] a holder adds
    }
    void release() noexcept override {
        if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;  // [end]
    }

private:
    enum gate_state : std::uint32_t { open, shut, broken };

    [[gnu::cold]] ~thread_pool_core();

    void run_thread(pool_worker& worker) noexcept;
    [[gnu::cold]] bool initialize(pool_worker& worker) noexcept;
    void work(pool_worker& worker);
    state* next(pool_worker& worker) noexcept;
    state* next_from_outside(pool_worker& worker) noexcept;
    void refill(pool_worker& worker) noexcept;
    state* steal(pool_worker& worker) noexcept;
    state* wait_for_work(pool_worker& worker) noexcept;
    bool sleep(pool_worker& worker) noexcept;
    bool any_work() const noexcept;
    void run_queued(pool_worker& worker, state& task);
    bool claim_and_run(pool_worker& worker, state& task, bool queued);
    bool run_awaited(pool_worker& worker, state& task);
    bool run_descendant(pool_worker& worker, state& task);
    /// One of the workers runs it: not one that is being failed because of its inputs.
    bool runs_here(state const& task, std::uint64_t word) const noexcept {
        return task.owner == this && phase_of(word) == phase_running && !(word & not_ready);
    }
    [[gnu::cold]] bool waits_for_itself(pool_worker const& worker, state& target, input_walk& walk);

    pool_worker* place_of_this_thread() noexcept;
    [[gnu::cold]] void wait_for_space();
    [[gnu::cold]] void left_pending() noexcept;
    [[gnu::cold]] void must_not_be_inside(char const* verb) const;
    std::uint64_t retired() const noexcept;
    bool all_retired() const noexcept {
        auto const over = retired();  // first: see the invariant
        return over == admitted().load();
    }
    bool over() const noexcept { return gate_.load() != open && all_retired(); }
    void tell_if_idle() noexcept;
    [[gnu::cold]] void wake_everybody() noexcept;
    [[gnu::cold]] void break_with(std::string problem) noexcept;
    template <class Decide>
    void drain(Decide&& decide) noexcept;
    [[gnu::cold]] void cancel_everything() noexcept;
    [[gnu::cold]] void fail_everything() noexcept;
    [[gnu::cold]] std::string broken_text() const;

    // Read by all, written rarely.
    options const options_;
    std::uint32_t const generation_ = fork_generation();
    std::unique_ptr<pool_worker[]> const workers_;  // options_.workers of them
    std::atomic<std::uint32_t> gate_{open};
    std::atomic<std::uint32_t> idle_waiters_{0};

    // Written by submitters. The count of admitted jobs lives in outside_.
    std::atomic<std::uint64_t>& admitted() noexcept { return outside_.announced(); }
    std::atomic<std::uint64_t> const& admitted() const noexcept { return outside_.announced(); }
    injection_queue outside_;
    priority_queue by_priority_;
    idle_set idle_;

    // Everything below is used now and then.
    alignas(cache_line) std::atomic<std::uint64_t> references_{1};
    std::atomic<std::uint64_t> retired_elsewhere_{0};
    std::atomic<std::uint64_t> unrun_cancelled_{0};
    std::atomic<std::uint64_t> unrun_failed_{0};
    std::atomic<std::uint64_t> internal_{0};
    std::atomic<std::uint64_t> items_{0};
    std::atomic<std::uint64_t> refused_{0};
    std::atomic<bool> cancelling_{false};

    mutable std::mutex mutex_;  // of the following
    std::condition_variable changed_;
    std::condition_variable space_;
    std::size_t pending_ = 0;  // only with max_pending
    std::string broken_text_;
    dependent_list dependents_;

    std::mutex join_mutex_;  // while threads are joined
    std::mutex wait_mutex_;  // of every worker's waits
};

// ---- implementation: start

inline thread_pool_core::thread_pool_core(options o)
    : executor_core(o.on_error),
      options_(std::move(o)),
      workers_(new pool_worker[options_.workers]) {
    for (std::size_t i = 0; i < options_.workers; ++i) {
        workers_[i].index = i;
        workers_[i].random = mix64(i + 1);
    }
}

inline void thread_pool_core::start_threads() {
    for (std::size_t started = 0; started < options_.workers; ++started) {
        pool_worker& worker = workers_[started];
        retain();
        try {
            worker.thread = std::thread([this, &worker] { run_thread(worker); });
        } catch (std::system_error const& problem) {
            release();
            shut_down({.wait = false, .cancel_pending = true});
            join_threads();
            throw broken_executor(text(
                "thread_pool: only %zu of %zu threads could be started (%s); ask for fewer workers",
                started, options_.workers, problem.what()));
        }
    }
}

// ---- implementation: submitters

inline void thread_pool_core::require_open() {
    if (inert()) {
        throw broken_executor("this executor was made before a fork(); make one in the child");
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

inline void thread_pool_core::admit(bool may_wait) {
    if (inert()) require_open();
    if (options_.max_pending != 0) {
        if (may_wait && !place_of_this_thread()) {
            wait_for_space();
        } else {
            std::lock_guard const lock(mutex_);
            ++pending_;
        }
    }
    admitted().fetch_add(1);
    if (gate_.load() != open) {
        refused_.fetch_add(1);
        leave_queue();
        retire_unrun();
        require_open();
    }
}

inline void thread_pool_core::admit_internal(bool may_wait) {
    internal_.fetch_add(1);
    try {
        admit(may_wait);
    } catch (...) {
        internal_.fetch_sub(1);
        throw;
    }
}

inline void thread_pool_core::wait_for_space() {
    std::unique_lock lock(mutex_);
    space_.wait(lock, [this] { return pending_ < options_.max_pending || gate_.load() != open; });
    ++pending_;
}

inline void thread_pool_core::left_pending() noexcept {
    std::lock_guard const lock(mutex_);
    --pending_;
    space_.notify_one();
}

inline void thread_pool_core::enqueue(state& task) noexcept {
    pool_worker* const here = place_of_this_thread();
    auto const* const extras = task.ops->extras ? task.ops->extras(task) : nullptr;
    bool const by_priority = extras && extras->priority != 0;
    bool const had_inputs = extras && extras->inputs;
    try {
        if (by_priority) {
            by_priority_.push(extras->priority, task);
        } else if (here) {
            here->deque.push(&task);
        } else {
            outside_.push(task);
        }
    } catch (std::bad_alloc const&) {
        outside_.push(
            task);  // needs no memory; the order is not what it should be, the task is safe
    }
    chaos_point();  // a worker may have run the task here, and nobody may look at it any more
    here && !by_priority ? idle_.work_for_all() : idle_.work_for_workers();
    // Tasks that wait for this one could do nothing for it until now.
    if (had_inputs) idle_.wake_helpers();
    if (gate_.load() == broken) fail_everything();
}

inline pool_worker* thread_pool_core::place_of_this_thread() noexcept {
    auto const* const place = place_in(*this);
    return place ? &workers_[place->index] : nullptr;
}

inline void thread_pool_core::retire_unrun() noexcept {
    retain();
    retired_elsewhere_.fetch_add(1);
    idle_.fence();
    tell_if_idle();
    release();
}

inline void thread_pool_core::add_dependent(dependent_link& link) {
    dependents_.add(link);
    if (cancelling_.load()) cancel_everything();
    if (gate_.load() == broken) fail_everything();
}

inline void thread_pool_core::remove_dependent(dependent_link& link) noexcept {
    dependents_.remove(link);
}

}  // namespace concur::inline v0::detail

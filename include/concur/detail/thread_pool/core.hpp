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

#include <concur/detail/base/linux.hpp>
#include <concur/detail/sync/injection_queue.hpp>
#include <concur/detail/sync/priority_queue.hpp>
#include <concur/detail/task/blocking.hpp>
#include <concur/detail/task/input_walk.hpp>
#include <concur/detail/thread_pool/idle_set.hpp>
#include <concur/detail/thread_pool/worker.hpp>
#include <concur/executor.hpp>

namespace concur::inline v0::detail {

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
// Lifetime   a job that is not retired keeps the pool's destructor waiting; whoever retires one on a
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
        return over == admitted_.load();
    }
    bool over() const noexcept { return gate_.load() != open && all_retired(); }
    void tell_if_idle() noexcept;
    [[gnu::cold]] void wake_everybody() noexcept;
    [[gnu::cold]] void break_with(std::string text) noexcept;
    template <class Decide>
    void drain(Decide&& decide) noexcept;
    [[gnu::cold]] state_ref next_dependent() noexcept;
    static void unlink(dependent_link& link) noexcept;
    [[gnu::cold]] void cancel_everything() noexcept;
    [[gnu::cold]] void fail_everything() noexcept;
    [[gnu::cold]] std::string broken_text() const;

    // Read by all, written rarely.
    options const options_;
    std::uint32_t const generation_ = fork_generation();
    std::unique_ptr<pool_worker[]> const workers_;  // options_.workers of them
    std::atomic<std::uint32_t> gate_{open};
    std::atomic<std::uint32_t> idle_waiters_{0};

    // Written by submitters.
    alignas(cache_line) std::atomic<std::uint64_t> admitted_{0};
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

    mutable std::mutex mutex_;  // of the following
    std::condition_variable changed_;
    std::condition_variable space_;
    std::size_t pending_ = 0;  // only with max_pending
    std::string broken_text_;
    dependent_link dependents_;  // ring

    std::mutex join_mutex_;  // while threads are joined
    std::mutex wait_mutex_;  // of every worker's waits
};

// ---- implementation: start

inline thread_pool_core::thread_pool_core(options o)
    : executor_core(o.on_error),
      options_(std::move(o)),
      workers_(new pool_worker[options_.workers]) {
    dependents_.next = dependents_.previous = &dependents_;
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
            throw broken_executor("thread_pool: only " + std::to_string(started) + " of " +
                                  std::to_string(options_.workers) +
                                  " threads could be started (" + problem.what() +
                                  "); ask for fewer workers");
        }
    }
}

inline thread_pool_core::~thread_pool_core() {
    // What is left in the queues was decided by others: cancelled, or run inside a wait.
    drain([](state& task) { task.release(); });
}

// ---- implementation: submitters

inline void thread_pool_core::require_open() {
    if (inert()) {
        throw broken_executor("this executor was made before a fork(); make one in the child");
    }
    switch (gate_.load()) {
        case open: return;
        case shut: throw executor_shut_down();
        default: throw broken_executor(broken_text());
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
    admitted_.fetch_add(1);
    if (gate_.load() != open) {
        refused_.fetch_add(1);
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
    try {
        if (by_priority) {
            by_priority_.push(extras->priority, task);
        } else if (here) {
            here->deque.push(&task);
        } else {
            outside_.push(task);
        }
    } catch (std::bad_alloc const&) {
        outside_.push(task);  // needs no memory; the order is not what it should be, the task is safe
    }
    here && !by_priority ? idle_.work_for_all() : idle_.work_for_workers();
    if (gate_.load() == broken) fail_everything();
}

inline pool_worker* thread_pool_core::place_of_this_thread() noexcept {
    auto const* const place = place_in(*this);
    return place ? &workers_[place->index] : nullptr;
}

inline void thread_pool_core::retire_unrun() noexcept {
    retain();
    if (options_.max_pending != 0) left_pending();
    retired_elsewhere_.fetch_add(1);
    tell_if_idle();
    release();
}

inline void thread_pool_core::add_dependent(dependent_link& link) {
    std::lock_guard const lock(mutex_);
    link.next = &dependents_;
    link.previous = dependents_.previous;
    link.previous->next = link.next->previous = &link;
}

inline void thread_pool_core::remove_dependent(dependent_link& link) noexcept {
    std::lock_guard const lock(mutex_);
    unlink(link);
}

/// May be called again for the same link.
inline void thread_pool_core::unlink(dependent_link& link) noexcept {
    link.previous->next = link.next;
    link.next->previous = link.previous;
    link.next = link.previous = &link;
}

// ---- implementation: workers

inline void thread_pool_core::run_thread(pool_worker& worker) noexcept {
    name_thread(options_.name.empty()
                    ? "concur worker"
                    : (options_.name + " " + std::to_string(worker.index)).c_str());
    worker_context place{this, worker.index, &worker.counts, nullptr};
    {
        scoped_context const scope(this_worker_context, place);
        idle_.start_search();
        if (initialize(worker)) work(worker);
    }
    release();
}

inline bool thread_pool_core::initialize(pool_worker& worker) noexcept {
    if (!options_.initializer) return true;
    std::string text;
    try {
        options_.initializer(worker.index);
        return true;
    } catch (...) {
        text = text_of(std::current_exception());
    }
    idle_.stop_search();
    break_with("thread_pool: the initializer of worker " + std::to_string(worker.index) +
               " threw: " + text);
    return false;
}

/// Enters and leaves as a searcher.
inline void thread_pool_core::work(pool_worker& worker) {
    for (;;) {
        state* task = wait_for_work(worker);
        if (!task) return;
        do {
            run_queued(worker, *task);
            task = next(worker);
        } while (task);
        idle_.start_search();
    }
}

inline void thread_pool_core::run_queued(pool_worker& worker, state& task) {
    chaos_point();
    if (!claim_and_run(worker, task, true)) task.release();
}

/// `queued`: the caller holds the reference of the task's way here.
inline bool thread_pool_core::claim_and_run(pool_worker& worker, state& task, bool queued) {
    if (this_worker_context->core != this) [[unlikely]] {
        // A task of this pool uses another executor, whose task waits for one of this pool.
        worker_context place{this, worker.index, &worker.counts, this_worker_context};
        scoped_context const scope(this_worker_context, place);
        return claim_and_run(worker, task, queued);
    }
    worker.frames.enter(task, worker.deque.bottom());
    bool const won = task.claim(worker.index);
    if (won) {
        if (!queued && !worker.deque.pop_if(&task)) task.retain();
        if (options_.max_pending != 0) left_pending();
        tally::add(worker.counts.started, task.ops->tasks);
        task.ops->run(task);
        tally::add(worker.counts.retired, 1);
    }
    worker.frames.leave();
    return won;
}

inline state* thread_pool_core::next(pool_worker& worker) noexcept {
    if (by_priority_.any_above()) {
        if (auto* const item = by_priority_.take(true)) return static_cast<state*>(item);
    }
    // Now and then outside tasks go first, so that tasks which keep submitting cannot starve them.
    if (++worker.turn % 64 == 0) {
        if (state* const task = next_from_outside(worker)) return task;
    }
    if (state* const task = worker.deque.pop()) return task;
    if (state* const task = next_from_outside(worker)) return task;
    if (state* const task = steal(worker)) return task;
    return static_cast<state*>(by_priority_.take(false));
}

inline state* thread_pool_core::next_from_outside(pool_worker& worker) noexcept {
    if (state* const task = worker.batch.take()) return task;
    refill(worker);
    return worker.batch.take();
}

/// Takes a batch that is about 10 us of work, so that the price of moving a cache line between CPUs
/// is paid once per batch and not once per task.
inline void thread_pool_core::refill(pool_worker& worker) noexcept {
    if (outside_.empty()) return;
    auto const now = steady_clock::now();
    if (worker.batch_taken != time_point{}) {
        auto const took = now - worker.batch_taken;
        if (took < std::chrono::microseconds(10)) {
            worker.batch_size = std::min(worker.batch_size * 2, worker.batch.capacity);
        } else if (took > std::chrono::microseconds(20)) {
            worker.batch_size = std::max<std::size_t>(worker.batch_size / 2, 1);
        }
    }
    worker.batch_taken = now;
    auto const most = std::min(worker.batch_size, worker.batch.room());
    auto const taken = outside_.take_batch(most, [&](queue_link& item) {
        worker.batch.put(&static_cast<state&>(item));
    });
    if (taken == 0) return;
    worker.batch.publish();
    if (taken > 1) idle_.work_for_workers();
}

inline state* thread_pool_core::steal(pool_worker& worker) noexcept {
    auto const n = options_.workers;
    if (n == 1) return nullptr;
    worker.random = mix64(worker.random);
    auto const first = static_cast<std::size_t>(worker.random % n);
    for (std::size_t i = 0; i < n; ++i) {
        pool_worker& victim = workers_[(first + i) % n];
        if (&victim == &worker) continue;
        if (state* const task = victim.batch.take()) return task;
        if (state* const task = victim.deque.steal()) return task;
    }
    return nullptr;
}

inline bool thread_pool_core::any_work() const noexcept {
    if (!outside_.empty() || !by_priority_.empty()) return true;
    for (std::size_t i = 0; i < options_.workers; ++i) {
        if (!workers_[i].batch.empty() || !workers_[i].deque.empty()) return true;
    }
    return false;
}

/// Searches, then sleeps. Called as a searcher; with a task it is none any more. Null: the end.
inline state* thread_pool_core::wait_for_work(pool_worker& worker) noexcept {
    constexpr int rounds = 50;
    worker.batch_taken = {};  // the time until the next batch is not work
    for (;;) {
        for (int round = 0; round < rounds; ++round) {
            if (state* const task = next(worker)) {
                // The last searcher leaves: if there is more, somebody else has to look for it.
                if (idle_.stop_search() && any_work()) idle_.wake_worker();
                return task;
            }
            for (int spin = 0; spin < 16 && outside_.empty(); ++spin) cpu_relax();
            if (round == 0) tell_if_idle();
            yield_thread();
        }
        if (!sleep(worker)) return nullptr;
    }
}

/// True: searching again. False: the pool is at its end, and the worker counted nowhere.
inline bool thread_pool_core::sleep(pool_worker& worker) noexcept {
    idle_.fall_asleep(worker);
    chaos_point();
    // A place that has been lent meanwhile is not this thread's to get up in.
    if (any_work() && idle_.get_up(worker)) return true;
    tell_if_idle();
    while (idle_.asleep(worker)) {
        if (over() && idle_.get_up(worker)) break;
        worker.sleeper.park();
    }
    if (!over()) return true;
    idle_.stop_search();
    wake_everybody();
    return false;
}

inline bool thread_pool_core::lend_place(worker_context& place) noexcept {
    pool_worker* const worker = options_.initializer ? nullptr : idle_.lend();
    if (worker) place = {this, worker->index, &worker->counts, nullptr};
    return worker != nullptr;
}

inline void thread_pool_core::return_place(worker_context& place) noexcept {
    idle_.take_back(workers_[place.index]);
    // Tasks that the loop submitted may lie in this worker's deque, and its thread sleeps.
    if (any_work()) idle_.work_for_workers();
}

// ---- implementation: waiting inside tasks

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
    if (phase_of(task.look()) == phase_running) {
        run_queued(worker, *found);
    } else {
        // It may be something else's: running it could need a lock that is held here.
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
            if (runner.waits && runner.waits->target) leads.push_back(runner.waits->target);
            return found ? input_walk::verdict::stop : input_walk::verdict::go_on;
        });
    }
    return found;
}

}  // namespace concur::inline v0::detail

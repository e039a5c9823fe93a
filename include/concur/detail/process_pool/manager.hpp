// SPDX-License-Identifier: BSL-1.0
// The pool's own thread: sees workers die and starts others, ends what runs too long, and reads
// replies where nobody waits who does. It sleeps until one of these is needed.
#pragma once

#include <concur/detail/process_pool/limits.hpp>
#include <concur/detail/process_pool/replies.hpp>

namespace concur::inline v0::detail {

/// So long is waited for the nursery's word how a worker ended.
inline constexpr duration patience_for_ending = std::chrono::seconds(1);

/// What became of the calls of a worker that died, to be told without the lock.
struct process_core::lost_calls {
    struct one {
        state* task;
        std::exception_ptr problem;
        // Of a chunk: what was there of its reply, and whether it ends here.
        bool partial = false;
        bool ends = true;
        std::size_t worker = 0;
        std::uint64_t block = 0;
        std::size_t items = 0;
    };
    std::vector<one> all;
    reply_batch last_replies;
    bool reaped = false;      // a worker: there is another one to be started
    bool no_nursery = false;  // nor are there workers: another one is to be made
    // The call that it had taken: it may have sent parcels for the reply already.
    bool taken = false;
    std::size_t worker = 0;
    std::uint64_t position = 0;
    std::string broken;  // why the pool cannot go on
};

inline void process_core::manage() noexcept {
    name_thread(settings_.name.empty() ? "concur pool" : settings_.name.c_str());
    this_thread_manages = this;
    for (;;) {
        auto const seen = view_.pool().control.load();
        auto const until = tend();
        run_callbacks();
        if (gate_.load() != open && all_retired()) break;
        calm_down();
        sleep_until_needed(seen, until);
    }
    std::unique_ptr<nursery> last;
    {
        std::lock_guard const lock(mutex_);
        last = std::move(nursery_);
        while (state* const task = pop()) task->release();  // decided by others
    }
    last.reset();
    {
        std::lock_guard const lock(mutex_);
        ended_.store(true);
        changed_.notify_all();
    }
    run_callbacks();
}

/// Everything but callbacks; when to look again at the latest.
inline time_point process_core::tend() noexcept {
    for (std::size_t i = 0; i < settings_.workers; ++i) {
        lost_calls lost;
        {
            std::lock_guard const lock(mutex_);
            look_after(workers_[i], lost);
        }
        settle(lost);
        if (lost.no_nursery) replace_nursery();
    }
    auto& pool = view_.pool();
    if (pool.parcels_wait.load() != 0 && pool.parcels_wait.exchange(0) != 0) parcels_.receive();
    if (pool.unheard.load() != 0 && pool.unheard.exchange(0) != 0) pool.bell.rouse(event_.get());
    while (progress_for_sure()) {
    }
    // What came back from dead workers meanwhile.
    if (cancelling_.load()) cancel_everything();
    if (gate_.load() == broken) fail_everything();
    std::lock_guard const lock(mutex_);
    if (killed_.load() || gate_.load() == broken) kill_all();  // who was just starting, too
    return watch_limits();
}

/// What the manager does where a callback that it runs waits for something.
inline void process_core::keep_going(time_point until) noexcept {
    auto const seen = view_.pool().control.load();
    auto const limit = tend();
    // Who wakes the waiting thread does not know of the control word.
    constexpr auto soon = std::chrono::milliseconds(1);
    sleep_until_needed(seen, std::min(std::min(limit, until), deadline_after(soon)));
}

/// Nobody can be waiting for a pool that has nothing to do.
inline void process_core::calm_down() noexcept {
    auto const before = attention_.exchange(none);
    if (before == none || all_retired()) return;
    // Whoever came in between saw the old value, and its job is counted already.
    auto now = std::uint32_t{none};
    while (now < before && !attention_.compare_exchange_weak(now, before)) {
    }
}

inline void process_core::sleep_until_needed(std::uint32_t seen, time_point until) noexcept {
    auto const wanted = attention_.load();
    bool leads = wanted != none;
    if (wanted == backlog) {
        // Tasks queue, and perhaps nobody reads. The rings hold about 200 us of work: of short
        // tasks it is enough to look twice in that time, which costs the workers no wake-ups; and
        // now and then while whoever submits does read.
        std::lock_guard const lock(mutex_);
        bool const others_read = std::exchange(reads_, 0) > 2;
        if (depth_ > 8) {
            leads = false;
            auto const pause = std::chrono::microseconds(others_read ? 1000 : 100);
            until = std::min(until, deadline_after(pause));
        }
    }
    leads = leads && lead_.take() != bell_lead::taken::no;
    auto& pool = view_.pool();
    watch_list list;
    list.add({&pool.control, seen});
    bool awake = false;
    if (leads) {
        pool.bell.announce();
        awake = progress_for_sure();
        list.add(pool.bell.watch());
    }
    for (std::size_t i = 0; i < settings_.workers; ++i) {
        auto& death = view_.worker(i).death;
        if (workers_[i].is != worker_slot::alive && workers_[i].is != worker_slot::leaving)
            continue;
        list.add(death.watch());
        bool const seen_dead = workers_[i].over_since != time_point();
        bool const starting = view_.worker(i).life.phase.load() == worker_life::asked;
        if (death.dead() && !seen_dead && !starting) awake = true;
        if (seen_dead) until = std::min(until, workers_[i].over_since + patience_for_ending);
        // It is starting: if the nursery were killed now, nobody would say so.
        constexpr auto now_and_then = std::chrono::milliseconds(50);
        if (!death.held() || starting) until = std::min(until, deadline_after(now_and_then));
    }
    if (!awake) list.wait(until);
    if (leads) {
        pool.bell.withdraw();
        lead_.leave();
    }
}

// ---- workers come and go; all under the lock

inline void process_core::look_after(worker_slot& worker, lost_calls& lost) noexcept {
    auto& memory = view_.worker(worker.index);
    if (worker.is == worker_slot::dead || worker.is == worker_slot::absent) {
        bool const needed =
            gate_.load() == open || (gate_.load() == shut && queued_ != 0 && !killed_.load());
        if (worker.is == worker_slot::dead && worker.open_replies == 0 && needed &&
            steady_clock::now() >= worker.not_before) {
            if (!nursery_ || !nursery_->alive()) return nursery_is_gone(lost);
            start_worker(worker);
        }
        return;
    }
    if (memory.life.phase.load() == worker_life::failed) return could_not_start(worker, lost);
    if (is_over(worker)) {
        if (knows_ending(worker)) reap(worker, lost);
        return;
    }
    if (memory.words.over_limit.load() != 0 ||
        (settings_.max_tasks_per_worker != 0 && worker.given >= settings_.max_tasks_per_worker &&
         worker.outstanding == 0)) {
        recycle(worker);
    }
}

/// No process works on its ring any more, and its pid is known if it had one.
inline bool process_core::is_over(worker_slot& worker) const noexcept {
    auto& memory = view_.worker(worker.index);
    auto const generation =
        memory.life.generation.load(std::memory_order_acquire);            // [life] before phase
    auto const phase = memory.life.phase.load(std::memory_order_acquire);  // [life] with nursery
    if (phase == worker_life::ended && generation != worker.generation_before) return true;
    bool const orphaned = nursery_ && !nursery_->alive();
    if (memory.death.dead()) return orphaned || phase != worker_life::asked;
    if (!orphaned || memory.death.held()) return false;
    // Killed with the nursery before it could hold its sensor.
    auto const process = open_pidfd(phase == worker_life::running ? memory.life.pid.load() : 0);
    return !process || wait_readable(process.get(), steady_clock::now());
}

/// The others do its work; it is tried again later.
inline void process_core::could_not_start(worker_slot& worker, lost_calls& lost) noexcept {
    worker.is = worker_slot::dead;
    worker.not_before = deadline_after(std::chrono::seconds(1));
    lost.reaped = true;
    take_back_calls(worker, lost);
    for (std::size_t i = 0; i < settings_.workers; ++i) {
        if (workers_[i].is == worker_slot::alive) return;
    }
    auto const error = view_.worker(worker.index).life.code.load();
    lost.broken = title() + ": no worker process could be started: " + errno_text(error);
}

inline void process_core::take_back_calls(worker_slot& worker, lost_calls& lost) noexcept {
    auto& ring = *worker.ring;
    if (worker.idle) std::erase(idle_, &worker);
    worker.idle = false;
    state* not_started = nullptr;
    for (auto position = ring.next(); position-- != ring.oldest();) {
        state* const task = std::exchange(worker.calls[position % ring_slots], nullptr);
        if (!task) continue;
        if (ring.look(position) == fate::taken) {
            lose(worker, *task, lost);
        } else {
            task->set_next(std::exchange(not_started, task));
        }
    }
    put_back(not_started);
    worker.outstanding = 0;
    std::erase_if(timed_, [&](timed_call const& t) { return t.worker == worker.index; });
}

/// A worker is dead: each of its calls was replied to, is lost (one at most) or never started.
inline void process_core::reap(worker_slot& worker, lost_calls& lost) noexcept {
    while (read_replies_of(worker, lost.last_replies)) {
        if (lost.last_replies.again) return;  // comes back for the rest
    }
    bool const told = worker.replied;
    bool const wanted = worker.is == worker_slot::leaving;
    worker.is = worker_slot::dead;
    lost.reaped = true;
    kill(worker);  // what is left of it, should only its main thread have ended
    // The item that was late ended in the last moment, and another one was hit: not that one's
    // fault.
    if (view_.worker(worker.index).words.started_at.load() != worker.late_start)
        worker.late = false;
    if (!wanted && !killed_.load() && gate_.load() != broken) workers_lost_.fetch_add(1);
    take_back_calls(worker, lost);
    bool const orphaned = nursery_ && !nursery_->alive();
    early_deaths_ = told ? 0 : early_deaths_ + (orphaned ? 0 : 1);
    if (early_deaths_ > std::max<std::size_t>(2, settings_.workers) && lost.broken.empty()) {
        lost.broken = text(
            "%s: %zu workers in a row died before they could run anything (%s); the pool gives up",
            title().c_str(), early_deaths_, ending_text(worker).c_str());
    }
    if (orphaned) nursery_is_gone(lost);
}

/// The call that a dead worker had taken.
inline void process_core::lose(worker_slot& worker, state& task, lost_calls& lost) noexcept {
    auto& frame = frame_of(task);
    auto const position = ring_position(task);
    set_place(task, being_completed);
    lost.taken = true;
    lost.worker = worker.index;
    lost.position = position;
    // It has ended in time after all, and the next one was hit: not that one's fault.
    if (view_.worker(worker.index).words.started_call.load() != position) worker.late = false;
    if (frame.kind & call_frame::chunk) return lose_item(worker, position, task, lost);
    call_header* const header =
        frame.kind & call_frame::in_block
            ? reinterpret_cast<call_header*>(view_.at(block_of(frame).offset))
            : nullptr;
    if (header && may_retry(task, worker, header->attempt)) {
        ++header->attempt;
        frame.kind |= call_frame::begun;
        task.set_next(nullptr);
        return put_back(&task);
    }
    drop_block(task);
    lost.all.push_back({&task, problem_of(worker, task)});
}

/// The same for a chunk: the items before the one that was lost are kept, those behind it go on.
inline void process_core::lose_item(worker_slot& worker, std::uint64_t position, state& task,
                                    lost_calls& lost) noexcept {
    auto& words = view_.worker(worker.index).words;
    auto& header = *reinterpret_cast<call_header*>(view_.at(block_of(frame_of(task)).offset));
    auto const progress =
        words.progress.load(std::memory_order_acquire);  // [results] with item_done()
    auto const counted = static_cast<std::uint32_t>(progress);
    auto const done = progress == worker_words::progress_of(position, counted) ? counted : 0;
    auto const item = std::min(header.skip + done, header.items);
    bool const retry =
        item < header.items && may_retry(task, worker, item == header.skip ? header.attempt : 1);
    typename lost_calls::one part{&task, nullptr};
    if (item < header.items && !retry) part.problem = problem_of(worker, task);
    part.partial = true;
    part.worker = worker.index;
    part.block = done != 0 ? words.reply_block.load() : 0;
    part.items = done;
    header.attempt = retry ? (item == header.skip ? header.attempt + 1 : 2) : 1;
    header.skip = retry ? item : std::min(item + 1, header.items);
    frame_of(task).kind |= call_frame::begun;
    part.ends = header.skip == header.items || (task.look() & stop_asked);
    if (part.ends) drop_block(task);
    ++worker.open_replies;
    lost.all.push_back(std::move(part));
}

inline bool process_core::may_retry(state& task, worker_slot const& worker,
                                    std::int32_t attempt) const noexcept {
    auto const* const extras = task.ops->extras ? task.ops->extras(task) : nullptr;
    return extras && attempt <= extras->retries && !worker.late && !killed_.load() &&
           gate_.load() != broken && !(task.look() & stop_asked);
}

/// Without the lock: tells what reap() found.
inline void process_core::settle(lost_calls& lost) noexcept {
    if (lost.reaped) view_.pool().bell.rouse(event_.get());  // it may have died while it rang
    complete(lost.last_replies);
    std::uint64_t jobs = 0;
    if (lost.taken) parcels_.receive();
    completing const here(*this);
    for (auto& one : lost.all) {
        auto const& ops = *one.task->ops->remote;
        if (!one.partial) {
            complete_with_problem(*one.task, std::move(one.problem));
            ++jobs;
            continue;
        }
        auto const size = static_cast<std::size_t>(view_.pool().reply_bytes);
        auto const at = std::min<std::size_t>(static_cast<std::size_t>(one.block), size);
        reply_view reply{reply_kind::items, view_.worker(one.worker).life.pid.load(),
                         view_.replies(one.worker) + at, size - at, one.items};
        ops.partial(*one.task, reply, one.problem);
        if (!one.ends && (one.task->look() & stop_asked)) {
            std::lock_guard const lock(mutex_);
            drop_block(*one.task);
            one.ends = true;
        }
        if (one.ends) {
            reply.items = 0;
            ops.complete(*one.task, reply);
            ++jobs;
        }
        std::lock_guard const lock(mutex_);
        --workers_[one.worker].open_replies;
        if (!one.ends) {
            one.task->set_next(nullptr);
            put_back(one.task);
            pump();
        }
    }
    if (lost.taken) parcels_.drop(lost.worker, lost.position);
    if (jobs != 0) retire(jobs);
    if (!lost.broken.empty()) return break_with(std::move(lost.broken));
    if (!lost.reaped && lost.last_replies.size == 0) return;
    std::lock_guard const lock(mutex_);
    pump();
    wake_manager();  // a worker may be started now
}

/// The subject of sentences about the pool.
inline std::string process_core::title() const {
    auto const& name = settings_.name;
    return name.empty() ? "process_pool" : text("process_pool '%s'", name.c_str());
}

inline std::string process_core::ending_text(worker_slot const& worker) const {
    auto const& how = worker.how;
    if (!how.known) return "it is not known how";
    if (how.signalled) return text("by signal %d (%s)", how.code, strsignal(how.code));
    return text("it exited with code %d", how.code);
}

/// How a worker ended that is over; after a while, that nobody can tell. False: look again when the
/// nursery has spoken. Never waits, for it is called under the lock.
inline bool process_core::knows_ending(worker_slot& worker) const noexcept {
    auto& life = view_.worker(worker.index).life;
    if (life.phase.load(std::memory_order_acquire) == worker_life::ended) {  // [life] with nursery
        worker.how = ending_from_status(life.code.load());
    } else {
        worker.how = ending_of(life.pid.load());
    }
    if (worker.how.known) return true;
    // The nursery has just waited for it, and is about to say so; or both were killed.
    if (!nursery_ || !nursery_->alive()) worker.how = {true, true, SIGKILL};
    auto const now = steady_clock::now();
    if (worker.over_since == time_point()) worker.over_since = now;
    return worker.how.known || now >= worker.over_since + patience_for_ending;
}

inline std::exception_ptr process_core::problem_of(worker_slot const& worker,
                                                   state const& task) const noexcept {
    auto const* const extras =
        task.ops->extras ? task.ops->extras(const_cast<state&>(task)) : nullptr;
    std::string const name =
        extras && !extras->name.empty() ? text(" '%s'", extras->name.c_str()) : std::string();
    if (worker.late) {
        return std::make_exception_ptr(timeout_error(
            text("the task%s ran into its time limit of %g s; its worker process was ended",
                 name.c_str(), extras && extras->timeout ? in_seconds(*extras->timeout) : 0)));
    }
    auto const& how = worker.how;
    auto const who = settings_.name.empty()
                         ? std::string()
                         : text(" (%s/%zu)", settings_.name.c_str(), worker.index);
    int const pid = view_.worker(worker.index).life.pid.load();
    return std::make_exception_ptr(worker_lost(
        text("the worker process %d%s that ran the task%s ended: %s", pid, who.c_str(),
             name.c_str(), ending_text(worker).c_str()),
        pid, how.signalled ? how.code : 0, how.known && !how.signalled ? how.code : -1));
}

inline void process_core::nursery_is_gone(lost_calls& lost) noexcept {
    // Its other workers die with it; the last of them brings a new one.
    for (std::size_t i = 0; i < settings_.workers; ++i) {
        if (workers_[i].is == worker_slot::alive || workers_[i].is == worker_slot::leaving) return;
    }
    lost.reaped = true;  // all are to be started
    ++early_deaths_;     // unless a worker of the next one lives
    lost.no_nursery = true;
}

/// Without the lock, for it may take seconds. There is no worker meanwhile.
inline void process_core::replace_nursery() noexcept {
    try {
        std::unique_ptr<nursery> other;
        {
            std::lock_guard const lock(mutex_);
            other = std::move(nursery_);
            if (gate_.load() != open && queued_ == 0) return;
        }
        other.reset();
        other = make_nursery();
        std::lock_guard const lock(mutex_);
        nursery_ = std::move(other);
        wake_manager();  // workers may be started now
    } catch (std::exception const& problem) {
        break_with(problem.what());
    }
}

inline void process_core::start_worker(worker_slot& worker) noexcept {
    try {
        start_over(worker);
    } catch (std::exception const&) {
        worker.is = worker_slot::alive;  // the nursery died: found by look_after()
    }
}

inline void process_core::start_over(worker_slot& worker) {
    auto& memory = view_.worker(worker.index);
    worker.replied = worker.late = false;
    worker.how = {};
    worker.over_since = {};
    worker.given = worker.outstanding = 0;
    if (worker.ring) {
        worker.ring->restart();
    } else {
        worker.ring.emplace(memory.ring);
    }
    memory.death.reset();
    auto& words = memory.words;
    words.stop_call.store(0);
    words.over_limit.store(0);
    words.progress.store(0);
    words.reply_block.store(0);
    if (words.awake.exchange(0) != 0) view_.pool().awake.fetch_sub(1);
    std::memset(static_cast<void*>(view_.replies(worker.index)), 0, sizeof(reply_region_header));
    worker.generation_before =
        memory.life.phase.load() == worker_life::none ? 0 : memory.life.generation.load();
    memory.life.phase.store(worker_life::asked);
    worker.is = worker_slot::alive;
    nursery_->start(static_cast<std::uint32_t>(worker.index));
    give_initializer(worker);
    put_to_idle(worker);
    pump();
}

/// The first call of every worker: the user's initializer, or one that only says that it is there.
inline void process_core::give_initializer(worker_slot& worker) {
    std::uint32_t kind = 0;
    block_place place{};
    if (initializer_at_.bytes != 0) {
        kind = call_frame::in_block;
        place = initializer_at_;
    }
    auto const position =
        worker.ring->offer(initializer_function_, kind, sizeof place,
                           [&](std::byte* to) { std::memcpy(to, &place, sizeof place); });
    worker.calls[position % ring_slots] = nullptr;
    ++worker.outstanding;
    view_.worker(worker.index).bell.ring();
}

}  // namespace concur::inline v0::detail

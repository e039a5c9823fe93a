// SPDX-License-Identifier: BSL-1.0
// Who sleeps, who searches, and whom to wake: so that no work lies while somebody could run it, and
// a stream of small tasks costs next to no system calls.
#pragma once

#include <atomic>
#include <mutex>
#include <utility>

#include <concur/detail/base/chaos.hpp>
#include <concur/detail/thread_pool/worker.hpp>

namespace concur::inline v0::detail {

// Protocol [idle]
//
//   searching  awake and looking for work; whoever is counted here looks everywhere once more
//   before
//              it sleeps
//   sleeping   worker threads in the kernel, in `sleepers_`
//   helping    tasks that sleep in a wait and could run work that they wait for, in `helpers_`
//
//   submitter  makes work visible, then reads the counts: if nobody searches and somebody sleeps,
//              it wakes one and counts it as searching on its behalf
//   worker     counts itself as sleeping instead of searching, then looks everywhere once more
//
// Invariant  both sides write, then read, with seq_cst: either the worker sees the work or the
//            submitter sees the sleeper. Work that is found by the last searcher makes it wake the
//            next one, so searchers multiply as long as there is work, as in the schedulers of Go
//            and Tokio.
// Locks      the lists, only on the way to a system call.
class idle_set {
public:
    void start_search() noexcept { counts_.fetch_add(one_searching); }

    /// True: this was the last searcher. If it found work, it should wake somebody.
    bool stop_search() noexcept { return searching_in(counts_.fetch_sub(one_searching)) == 1; }

    /// After work became visible that any worker may take.
    void work_for_workers() noexcept {
        auto const seen = counts_.load();
        if (sleeping_in(seen) != 0 && searching_in(seen) == 0) wake_worker();
    }

    /// After work became visible that tasks which wait may run as well: it was submitted by a task.
    void work_for_all() noexcept {
        auto const seen = counts_.load();
        if (seen >= one_sleeping && searching_in(seen) == 0) {
            if (!wake_worker()) wake_helper();
        }
    }

    /// Wakes one sleeping worker, unless somebody searches. False: none sleeps.
    bool wake_worker() noexcept {
        pool_worker* worker = nullptr;
        {
            std::lock_guard const lock(mutex_);
            if (!sleepers_) return false;
            if (searching_in(counts_.load()) != 0) return true;
            worker = std::exchange(sleepers_, sleepers_->next_asleep);
            worker->state_of_thread = pool_worker::thread_state::awake;
            counts_.fetch_add(one_searching - one_sleeping);
        }
        worker->sleeper.unpark();
        return true;
    }

    /// The calling worker, a searcher, is about to sleep. It must look for work once more.
    void fall_asleep(pool_worker& worker) noexcept {
        std::lock_guard const lock(mutex_);
        add(worker);
        counts_.fetch_add(one_sleeping - one_searching);
    }

    /// Back to searching, unless the place is lent. True: the thread is a searcher again, either by
    /// this call or because it was woken.
    bool get_up(pool_worker& worker) noexcept {
        std::lock_guard const lock(mutex_);
        if (worker.state_of_thread == pool_worker::thread_state::lent) return false;
        if (worker.state_of_thread == pool_worker::thread_state::asleep) {
            remove(worker);
            counts_.fetch_add(one_searching - one_sleeping);
        }
        return true;
    }

    /// True while the worker's thread has to go on sleeping.
    bool asleep(pool_worker& worker) noexcept {
        std::lock_guard const lock(mutex_);
        return worker.state_of_thread != pool_worker::thread_state::awake;
    }

    void helper_sleeps(wait_place& wait) noexcept {
        std::lock_guard const lock(mutex_);
        wait.next = std::exchange(helpers_, &wait);
        counts_.fetch_add(one_helping);
    }

    void helper_wakes(wait_place& wait) noexcept {
        std::lock_guard const lock(mutex_);
        for (auto** place = &helpers_; *place; place = &(*place)->next) {
            if (*place != &wait) continue;
            *place = wait.next;
            counts_.fetch_sub(one_helping);
            return;
        }
    }

    /// Wakes every task that sleeps in a wait, so that it looks again for work to run.
    void wake_helpers() noexcept {
        std::lock_guard const lock(mutex_);
        while (wait_place* const wait = helpers_) {
            helpers_ = wait->next;
            counts_.fetch_sub(one_helping);
            wait->sleeper->unpark();  // under the lock: it stays until helper_wakes() returned
        }
    }

    /// The place of a worker whose thread sleeps, or null. The thread goes on sleeping.
    pool_worker* lend() noexcept {
        std::lock_guard const lock(mutex_);
        pool_worker* const worker = sleepers_;
        if (!worker) return nullptr;
        sleepers_ = worker->next_asleep;
        counts_.fetch_sub(one_sleeping);
        worker->state_of_thread = pool_worker::thread_state::lent;
        return worker;
    }

    /// Afterwards the caller must look whether there is work for the sleepers.
    void take_back(pool_worker& worker) noexcept {
        std::lock_guard const lock(mutex_);
        add(worker);
        counts_.fetch_add(one_sleeping);
    }

    /// Orders the caller after everybody who has started, stopped or slept before.
    void fence() noexcept { counts_.fetch_add(0); }

private:
    // One word, so that both sides of the protocol meet in it.
    static constexpr std::uint64_t one_searching = 1, one_sleeping = 1ull << 20,
                                   one_helping = 1ull << 40;
    static constexpr std::uint64_t searching_in(std::uint64_t c) { return c & (one_sleeping - 1); }
    static constexpr std::uint64_t sleeping_in(std::uint64_t c) {
        return (c & (one_helping - 1)) >> 20;
    }

    void add(pool_worker& worker) noexcept {
        worker.next_asleep = std::exchange(sleepers_, &worker);
        worker.state_of_thread = pool_worker::thread_state::asleep;
    }

    void remove(pool_worker& worker) noexcept {
        auto** place = &sleepers_;
        while (*place != &worker) place = &(*place)->next_asleep;
        *place = worker.next_asleep;
        worker.state_of_thread = pool_worker::thread_state::awake;
    }

    void wake_helper() noexcept {
        std::lock_guard const lock(mutex_);
        if (!helpers_) return;
        wait_place* const wait = std::exchange(helpers_, helpers_->next);
        counts_.fetch_sub(one_helping);
        wait->sleeper->unpark();  // under the lock: the helper stays until helper_wakes() returned
    }

    alignas(cache_line) std::atomic<std::uint64_t> counts_{0};
    alignas(cache_line) std::mutex mutex_;
    pool_worker* sleepers_ = nullptr;  // the one that fell asleep last first: its cache is warm
    wait_place* helpers_ = nullptr;
};

}  // namespace concur::inline v0::detail

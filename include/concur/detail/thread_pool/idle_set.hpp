// SPDX-License-Identifier: BSL-1.0
// Who sleeps, who searches, and whom to wake: so that no work lies while somebody could run it, and
// a stream of small tasks costs next to no system calls.
#pragma once

#include <algorithm>
#include <atomic>
#include <mutex>
#include <vector>

#include <concur/detail/base/chaos.hpp>
#include <concur/detail/thread_pool/worker.hpp>

namespace concur::inline v0::detail {

// Protocol [idle]
//
//   searching  awake and looking for work; whoever is counted here looks everywhere once more before
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
    bool stop_search() noexcept {
        return searching_in(counts_.fetch_sub(one_searching)) == 1;
    }

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
            if (sleepers_.empty()) return false;
            if (searching_in(counts_.load()) != 0) return true;
            worker = sleepers_.back();
            sleepers_.pop_back();
            counts_.fetch_add(one_searching - one_sleeping);
        }
        worker->sleeper.unpark();
        return true;
    }

    /// The calling worker, a searcher, is about to sleep. It must look for work once more.
    void fall_asleep(pool_worker& worker) noexcept {
        std::lock_guard const lock(mutex_);
        sleepers_.push_back(&worker);
        counts_.fetch_add(one_sleeping - one_searching);
    }

    /// Back to searching. False: it was woken, that is, counted as searching already.
    bool get_up(pool_worker& worker) noexcept {
        std::lock_guard const lock(mutex_);
        if (!remove(sleepers_, &worker)) return false;
        counts_.fetch_add(one_searching - one_sleeping);
        return true;
    }

    /// True while the worker's thread has to go on sleeping.
    bool asleep(pool_worker& worker) noexcept {
        std::lock_guard const lock(mutex_);
        return worker.lent ||
               std::find(sleepers_.begin(), sleepers_.end(), &worker) != sleepers_.end();
    }

    void helper_sleeps(parker& sleeper) {
        std::lock_guard const lock(mutex_);
        helpers_.push_back(&sleeper);
        counts_.fetch_add(one_helping);
    }

    /// True: it was woken for work, which may be for somebody else.
    bool helper_wakes(parker& sleeper) noexcept {
        std::lock_guard const lock(mutex_);
        if (!remove(helpers_, &sleeper)) return true;
        counts_.fetch_sub(one_helping);
        return false;
    }

    /// The place of a worker whose thread sleeps, or null. The thread goes on sleeping.
    pool_worker* lend() noexcept {
        std::lock_guard const lock(mutex_);
        if (sleepers_.empty()) return nullptr;
        pool_worker* const worker = sleepers_.front();
        sleepers_.erase(sleepers_.begin());
        counts_.fetch_sub(one_sleeping);
        worker->lent = true;
        return worker;
    }

    /// Afterwards the caller must look whether there is work for the sleepers.
    void take_back(pool_worker& worker) noexcept {
        std::lock_guard const lock(mutex_);
        worker.lent = false;
        sleepers_.push_back(&worker);
        counts_.fetch_add(one_sleeping);
    }

    /// Orders the caller after everybody who has started, stopped or slept before.
    void fence() noexcept { counts_.fetch_add(0); }

    /// Some worker sleeps or searches, and so can take new work.
    bool anybody_free() const noexcept {
        auto const seen = counts_.load();
        return sleeping_in(seen) != 0 || searching_in(seen) != 0;
    }

    void reserve(std::size_t workers) { sleepers_.reserve(workers); }

private:
    // One word, so that both sides of the protocol meet in it.
    static constexpr std::uint64_t one_searching = 1, one_sleeping = 1ull << 20,
                                   one_helping = 1ull << 40;
    static constexpr std::uint64_t searching_in(std::uint64_t c) { return c & (one_sleeping - 1); }
    static constexpr std::uint64_t sleeping_in(std::uint64_t c) {
        return (c & (one_helping - 1)) >> 20;
    }

    void wake_helper() noexcept {
        std::lock_guard const lock(mutex_);
        if (helpers_.empty()) return;
        parker* const sleeper = helpers_.front();
        helpers_.erase(helpers_.begin());
        counts_.fetch_sub(one_helping);
        sleeper->unpark();  // under the lock: the helper cannot go before helper_wakes() returned
    }

    template <class T>
    static bool remove(std::vector<T*>& list, T* item) noexcept {
        auto const found = std::find(list.begin(), list.end(), item);
        if (found == list.end()) return false;
        list.erase(found);
        return true;
    }

    alignas(cache_line) std::atomic<std::uint64_t> counts_{0};
    alignas(cache_line) std::mutex mutex_;
    std::vector<pool_worker*> sleepers_;
    std::vector<parker*> helpers_;
};

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// What one empty task costs, in every respect: time, latency, memory, idle CPU.
#pragma once

#include "../harness.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

namespace submission {

inline constexpr bench::problem submit_get{
    "submit_get", "1,000,000 empty tasks: submit all, then get each future", "ns/task"};
inline constexpr bench::problem post_wait{
    "post_wait", "1,000,000 empty tasks without futures, then wait for all", "ns/task"};
inline constexpr bench::problem submit_get_2{
    "submit_get_2", "the same with futures, from two submitting threads", "ns/task"};
inline constexpr bench::problem post_wait_2{
    "post_wait_2", "the same without futures, from two submitting threads", "ns/task"};
inline constexpr bench::problem round_trip_hot{"round_trip_hot",
                                               "submit one task and get it, back to back",
                                               "ns, median of single trips", "median_ns"};
inline constexpr bench::problem round_trip_idle{
    "round_trip_idle", "submit one task and get it, after 300 us of idling",
    "ns, median of single trips", "median_ns"};
inline constexpr bench::problem memory_future{
    "memory_future", "1,000,000 tasks and futures queued behind blocked workers",
    "bytes resident/task", "bytes_per_task", true};
inline constexpr bench::problem memory_post{
    "memory_post", "1,000,000 tasks without futures queued behind blocked workers",
    "bytes resident/task", "bytes_per_task", true};
inline constexpr bench::problem idle_cpu{"idle_cpu",
                                         "a pool that has worked and now waits for a second",
                                         "% of one CPU", "cpu_percent", true};
inline constexpr bench::problem start_up{
    "start_up", "make a pool and get its first task, in a fresh process", "ns", {}, true};

// ---- the task: it counts, so that a lost or doubled one is found; a plain store to a cell of the
// thread's own

using cell = std::atomic<std::uint64_t>;
extern constinit thread_local cell* own_cell;
cell* take_cell();

inline void count_one() noexcept {
    cell* mine = own_cell;
    if (mine == nullptr) mine = take_cell();
    mine->store(mine->load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

/// Tasks that have run since the program began.
[[nodiscard]] std::uint64_t counted();

/// Fails the program unless exactly `expected` tasks ran while this lived and was checked.
class exactly {
public:
    explicit exactly(std::uint64_t expected) : expected_{expected}, before_{counted()} {}
    void check() const {
        bench::run::check(counted() - before_ == expected_, "tasks were lost, or ran twice");
    }

private:
    std::uint64_t expected_;
    std::uint64_t before_;
};

/// `work(items / 2)` on two threads at once; measured from the moment when both may start until
/// both are done.
template <class Work>
void measure_two_threads(bench::run& r, std::uint64_t items, Work work) {
    std::atomic<bool> go{false};
    auto const wait_and_work = [&] {
        go.wait(false);
        work(items / 2);
    };
    std::thread one{wait_and_work};
    std::thread two{wait_and_work};
    r.measure(items, [&] {
        go = true;
        go.notify_all();
        one.join();
        two.join();
    });
}

/// Single trips timed one by one; `trip(i)` sends i to a worker and gives what comes back.
void measure_trips_with(bench::run& r, std::size_t trips, std::chrono::microseconds pause,
                        std::uint64_t (*trip)(void*, std::uint64_t), void* self);

template <class Trip>
void measure_trips(bench::run& r, std::size_t trips, std::chrono::microseconds pause, Trip trip) {
    measure_trips_with(
        r, trips, pause, [](void* self, std::uint64_t i) { return (*static_cast<Trip*>(self))(i); },
        &trip);
}

[[nodiscard]] std::size_t resident_bytes();

/// `queue_all(n)` queues n tasks behind workers that a gate blocks; what it gives is kept until
/// memory was read.
template <class QueueAll>
[[nodiscard]] auto measure_memory(bench::run& r, QueueAll queue_all) {
    auto const n = r.size(1'000'000, 200'000);
    std::size_t const before = resident_bytes();
    auto kept = std::make_unique<decltype(queue_all(n))>();
    r.measure(n, [&] { *kept = queue_all(n); });
    r.counter("bytes_per_task",
              static_cast<double>(resident_bytes() - before) / static_cast<double>(n));
    return kept;
}

/// CPU that this process uses in one second, in which the calling thread sleeps.
void measure_idle(bench::run& r);

/// Holds workers back until opened. Shared: the last worker may still look at it when its owner has
/// opened it.
class gate {
public:
    void pass() const {
        arrived_->fetch_add(1);
        arrived_->notify_all();
        open_->wait(false);
    }
    void await(std::size_t workers) const {
        for (auto seen = arrived_->load(); seen < workers; seen = arrived_->load())
            arrived_->wait(seen);
    }
    void open() const {
        open_->store(true);
        open_->notify_all();
    }

private:
    std::shared_ptr<std::atomic<std::size_t>> arrived_ =
        std::make_shared<std::atomic<std::size_t>>(0);
    std::shared_ptr<std::atomic<bool>> open_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace submission

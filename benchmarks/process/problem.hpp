// SPDX-License-Identifier: BSL-1.0
// Worker processes beside what the machine itself takes (two processes that do nothing but answer
// each other, one program start, one memcpy) and beside Python's ProcessPoolExecutor.
#pragma once

#include "../harness.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace processes {

// Latencies run in a fresh process each time, because they pin it to CPUs.
inline constexpr bench::problem hot{
    "process_hot", "a number to a worker process that polls, and back; one CPU each",
    "ns, median of batches", "median_ns", true};
inline constexpr bench::problem blocked_2{
    "process_blocked_2", "the same after 300 us of idling: the worker sleeps; one CPU each",
    "ns, median of single trips", "median_ns", true};
inline constexpr bench::problem blocked_1{"process_blocked_1", "the same with both on one CPU",
                                          "ns, median of single trips", "median_ns", true};
inline constexpr bench::problem empty_tasks{
    "process_empty", "1,000,000 empty tasks: submit all, then get each future", "ns/task",
    "task_ns"};
inline constexpr bench::problem map_cheap{
    "process_map", "map of 1,000,000 cheap items into a vector", "ns/item", "item_ns"};
inline constexpr bench::problem map_lazy{
    "process_map_lazy", "the same, read one by one while it goes on", "ns/item", "item_ns"};
inline constexpr bench::problem start_small{
    "process_start", "make a pool of two workers and hear from both, in a process of 10 MB", "us",
    "start_us", true};
inline constexpr bench::problem start_2gb{"process_start_2gb", "the same in a process of 2 GB",
                                          "us", "start_us", true};
inline constexpr bench::problem death_small{
    "process_death", "from the SIGKILL of a busy worker to its future's worker_lost", "us, p99",
    "p99_us", true};
inline constexpr bench::problem death_2gb{"process_death_2gb",
                                          "the same for a worker of 2 GB; the worst of a few",
                                          "us, p99", "p99_us", true};
inline constexpr bench::problem transfer{
    "process_transfer", "100 MB of doubles by value: the way into memory that the worker sees",
    "ms", "transfer_ms", true};
inline constexpr bench::problem large{
    "process_large", "the same, from submit to the result of a worker that sums them up", "ms",
    "total_ms", true};
inline constexpr bench::problem idle_cpu{
    "process_idle_cpu", "a pool that has worked and now waits for a second: all its processes",
    "% of one CPU", "cpu_percent", true};
inline constexpr bench::problem memory{"process_memory", "private memory of an idle worker",
                                       "KiB/worker", "private_kib", true};

// ---- CPUs

/// Pins the calling thread to one of the CPUs that the process might use when it started.
void pin(std::size_t nth);
/// The same in a worker, which has started later: the CPU's own number.
int cpu_number(std::size_t nth);
void pin_to_cpu(int number);

// ---- round trips

/// `trip(i)` sends i and gives what comes back.
void measure_hot_with(bench::run& r, std::uint64_t (*trip)(void*, std::uint64_t), void* self);
void measure_blocked_with(bench::run& r, std::uint64_t (*trip)(void*, std::uint64_t), void* self);

template <class Trip>
void measure_hot(bench::run& r, Trip trip) {
    measure_hot_with(
        r, [](void* self, std::uint64_t i) { return (*static_cast<Trip*>(self))(i); }, &trip);
}
template <class Trip>
void measure_blocked(bench::run& r, Trip trip) {
    measure_blocked_with(
        r, [](void* self, std::uint64_t i) { return (*static_cast<Trip*>(self))(i); }, &trip);
}

// ---- the rest

[[nodiscard]] double now_ns();

inline constexpr std::uint32_t mix32(std::uint32_t x) {
    x ^= x >> 16;
    x *= 0x7feb352dU;
    x ^= x >> 15;
    x *= 0x846ca68bU;
    return x ^ (x >> 16);
}
void check_hashes(std::vector<std::uint32_t> const& output, std::size_t n);

/// Memory of small pages that really is there.
class ballast {
public:
    explicit ballast(std::size_t bytes);
    ~ballast();
    ballast(ballast const&) = delete;
    ballast& operator=(ballast const&) = delete;

private:
    std::size_t bytes_;
    void* memory_;
};
inline constexpr std::size_t small_ballast = 10u << 20;
inline constexpr std::size_t large_ballast = 2u << 30;

/// Counts p50_us and p99_us of many deaths.
void report_deaths(bench::run& r, std::vector<double>& taken_ns);
std::size_t deaths(bench::run const& r, bool of_2gb);

inline constexpr std::size_t large_doubles = 100'000'000 / sizeof(double);
inline constexpr std::size_t large_rounds = 5;

/// CPU seconds of all threads of a process but the calling one; private bytes in KiB.
[[nodiscard]] double cpu_seconds_of(int pid);
[[nodiscard]] double private_kib_of(int pid);
[[nodiscard]] int parent_of(int pid);

}  // namespace processes

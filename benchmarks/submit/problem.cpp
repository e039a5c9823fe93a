// SPDX-License-Identifier: BSL-1.0
#include "problem.hpp"

#include <unistd.h>
#include <array>
#include <deque>
#include <fstream>
#include <mutex>

namespace submission {

constinit thread_local cell* own_cell = nullptr;

namespace {

struct alignas(128) padded_cell {
    cell tasks{0};
};

/// Cells outlive their threads: a thread that ends hands its cell, count and all, to a later one.
struct cells {
    std::mutex lock;
    std::deque<padded_cell> all;
    std::vector<cell*> free;
};

cells& the_cells() {
    static auto* const made = new cells;  // never destroyed: threads may end after main
    return *made;
}

struct lease {
    cell* mine;
    lease() {
        auto& pool = the_cells();
        std::scoped_lock const hold{pool.lock};
        if (pool.free.empty()) pool.free.push_back(&pool.all.emplace_back().tasks);
        mine = pool.free.back();
        pool.free.pop_back();
    }
    ~lease() {
        auto& pool = the_cells();
        std::scoped_lock const hold{pool.lock};
        pool.free.push_back(mine);
        own_cell = nullptr;
    }
    lease(lease const&) = delete;
    lease& operator=(lease const&) = delete;
};

}  // namespace

cell* take_cell() {
    static thread_local lease const held;
    return own_cell = held.mine;
}

std::uint64_t counted() {
    auto& pool = the_cells();
    std::scoped_lock const hold{pool.lock};
    std::uint64_t sum = 0;
    for (auto const& each : pool.all) sum += each.tasks.load(std::memory_order_relaxed);
    return sum;
}

void measure_trips_with(bench::run& r, std::size_t trips, std::chrono::microseconds pause,
                        std::uint64_t (*trip)(void*, std::uint64_t), void* self) {
    using clock = std::chrono::steady_clock;
    std::vector<double> taken;
    taken.reserve(trips);
    r.measure(trips, [&] {
        for (std::size_t i = 0; i < trips; ++i) {
            if (pause.count() > 0) std::this_thread::sleep_for(pause);
            auto const start = clock::now();
            std::uint64_t const back = trip(self, i);
            std::chrono::duration<double, std::nano> const time = clock::now() - start;
            bench::run::check(back == i, "another task's result came back");
            taken.push_back(time.count());
        }
    });
    r.counter("median_ns", bench::quantile(taken, 0.5));
    r.counter("p99_ns", bench::quantile(taken, 0.99));
}

std::size_t resident_bytes() {
    std::ifstream file{"/proc/self/statm"};
    std::size_t size = 0;
    std::size_t resident = 0;
    file >> size >> resident;
    bench::run::check(resident > 0, "no /proc/self/statm");
    return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

void measure_idle(bench::run& r) {
    std::this_thread::sleep_for(
        std::chrono::milliseconds{50});  // a short spin after the last task is not idling
    r.measure(1,
              [&] { std::this_thread::sleep_for(std::chrono::milliseconds{r.size(1000, 500)}); });
    r.counter("cpu_percent", 100 * r.result().cpu / r.result().wall);
}

namespace {

using kind = bench::bar::kind;

// The first rival of a bar is the field's best without futures; Asio has them.
bench::bars const required{
    {submit_get, kind::time_ratio, 0.3, {"tbb"}},
    {submit_get, kind::time_ratio, 0.05, {"asio"}},
    {submit_get, kind::absolute, 0.05, {}, "futex_per_task"},
    {submit_get_2, kind::time_ratio, 0.1, {"asio"}},
    {round_trip_hot, kind::time_ratio, 1.1, {"asio", "tbb", "std_async"}},
    {round_trip_idle, kind::time_ratio, 1.2, {"asio", "tbb", "std_async"}},
    {idle_cpu, kind::absolute, 0.05},
    {memory_future, kind::absolute, 80},
    {memory_post, kind::absolute, 64},
};

}  // namespace
}  // namespace submission

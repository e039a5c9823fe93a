// SPDX-License-Identifier: BSL-1.0
// concur::process_pool, as a user would write it.
#include "problem.hpp"

#include <concur/process_pool.hpp>

#include <malloc.h>
#include <signal.h>
#include <unistd.h>
#include <numeric>
#include <ranges>
#include <set>
#include <thread>

namespace {

using namespace processes;

std::uint64_t echo(std::uint64_t i) { return i; }

/// One worker on a CPU of its own; this thread on another.
void trips_on_two_cpus(bench::run& r, void (*measure)(bench::run&, concur::process_pool&)) {
    int const other = cpu_number(1);
    concur::process_pool pool{{.workers = 1, .initializer = [other] { pin_to_cpu(other); }}};
    for (std::uint64_t i = 0; i < 100; ++i) pool.submit(echo, i).get();
    pin(0);
    measure(r, pool);
}

void run_hot(bench::run& r) {
    trips_on_two_cpus(r, [](bench::run& run, concur::process_pool& pool) {
        measure_hot(run, [&](std::uint64_t i) { return pool.submit(echo, i).get(); });
    });
}

void run_blocked_2(bench::run& r) {
    trips_on_two_cpus(r, [](bench::run& run, concur::process_pool& pool) {
        measure_blocked(run, [&](std::uint64_t i) { return pool.submit(echo, i).get(); });
    });
}

void run_blocked_1(bench::run& r) {
    pin(0);
    concur::process_pool pool{1};
    measure_blocked(r, [&](std::uint64_t i) { return pool.submit(echo, i).get(); });
}

void run_empty_tasks(bench::run& r) {
    auto const n = r.size(1'000'000, 50'000);
    concur::process_pool pool{{.workers = r.workers()}};
    for (std::size_t i = 0; i < r.workers(); ++i) pool.submit([] {}).get();
    auto const before = pool.stats().completed;
    r.measure(n, [&] {
        std::vector<concur::future<void>> futures;
        futures.reserve(n);
        for (std::size_t i = 0; i < n; ++i) futures.push_back(pool.submit([] {}));
        for (auto& each : futures) each.get();
    });
    bench::run::check(pool.stats().completed - before == n, "tasks were lost, or ran twice");
    r.counter("task_ns", r.result().wall * 1e9 / static_cast<double>(n));
}

void run_map(bench::run& r, bool lazily) {
    auto const n = r.size(1'000'000, 100'000);
    concur::process_pool pool{{.workers = r.workers()}};
    auto const hashes = [&](std::size_t count) {
        auto made = pool.map([](std::uint32_t i) { return mix32(i); },
                             std::views::iota(std::uint32_t{0}, static_cast<std::uint32_t>(count)));
        if (!lazily) return made.collect();
        std::vector<std::uint32_t> output;
        output.reserve(count);
        for (std::uint32_t const hash : made) output.push_back(hash);
        return output;
    };
    hashes(n / 10);  // wakes every worker
    std::vector<std::uint32_t> output;
    r.measure(n, [&] { output = hashes(n); });
    check_hashes(output, n);
    r.counter("item_ns", r.result().wall * 1e9 / static_cast<double>(n));
}
void run_map_collect(bench::run& r) { run_map(r, false); }
void run_map_lazy(bench::run& r) { run_map(r, true); }

/// A pid of each worker: tasks that are long enough for everybody to get one.
std::set<int> pids_of(concur::process_pool& pool) {
    std::set<int> pids;
    while (pids.size() < pool.worker_count()) {
        std::vector<concur::future<int>> asked;
        for (std::size_t i = 0; i < pool.worker_count(); ++i)
            asked.push_back(pool.submit([] {
                std::this_thread::sleep_for(std::chrono::milliseconds{5});
                return static_cast<int>(getpid());
            }));
        for (auto& each : asked) pids.insert(each.get());
    }
    return pids;
}

void run_start(bench::run& r, std::size_t bytes) {
    ballast const full{bytes};
    std::unique_ptr<concur::process_pool> pool;
    std::uint64_t sum = 0;
    r.measure(1, [&] {
        pool = std::make_unique<concur::process_pool>(2);
        auto one = pool->submit(echo, std::uint64_t{1});
        auto two = pool->submit(echo, std::uint64_t{2});
        sum = one.get() + two.get();
    });
    bench::run::check(sum == 3, "other results came back");
    r.counter("start_us", r.result().wall * 1e6);
}
void run_start_small(bench::run& r) { run_start(r, small_ballast); }
void run_start_2gb(bench::run& r) { run_start(r, large_ballast); }

/// A task that has some memory and then waits for its death.
int grow_and_wait(std::size_t bytes) {
    ballast const full{bytes};
    for (;;) pause();
}

void run_death(bench::run& r, bool of_2gb) {
    std::size_t const n = deaths(r, of_2gb);
    concur::process_pool pool{1};
    std::vector<double> taken;
    r.measure(n, [&] {
        for (std::size_t i = 0; i < n; ++i) {
            int const pid = pool.submit([] { return static_cast<int>(getpid()); }).get();
            auto busy = pool.submit(grow_and_wait, of_2gb ? large_ballast : std::size_t{4096});
            // Its memory is there when it sleeps; until then it computes.
            while (!busy.running()) std::this_thread::yield();
            for (double cpu = -1, before = -2; cpu != before || (of_2gb && cpu < 0.05);) {
                std::this_thread::sleep_for(std::chrono::milliseconds{of_2gb ? 20 : 1});
                before = cpu;
                cpu = cpu_seconds_of(pid);
            }
            double const start = now_ns();
            kill(pid, SIGKILL);
            bool lost = false;
            try {
                busy.get();
            } catch (concur::worker_lost const& error) {
                lost = error.signal() == SIGKILL && error.pid() == pid;
            }
            taken.push_back(now_ns() - start);
            bench::run::check(lost, "no worker_lost");
        }
    });
    report_deaths(r, taken);
}
void run_death_small(bench::run& r) { run_death(r, false); }
void run_death_2gb(bench::run& r) { run_death(r, true); }

double sum_of(std::vector<double> const& values) {
    return std::accumulate(values.begin(), values.end(), 0.0);
}
double ends_of(std::vector<double> const& values) { return values.front() + values.back(); }

/// Several calls after one that makes everything warm; the time of submit() alone, in which the
/// argument is encoded into shared memory, and of all.
void run_large(bench::run& r, double (*function)(std::vector<double> const&), double expected) {
    concur::process_pool pool{1};
    std::vector<double> submits, totals;
    r.measure(large_rounds, [&] {
        for (std::size_t i = 0; i <= large_rounds; ++i) {
            std::vector<double> values(large_doubles, 1.0);
            double const start = now_ns();
            auto result = pool.submit(function, std::move(values));
            double const submitted = now_ns();
            bench::run::check(result.get() == expected, "another result came back");
            double const done = now_ns();
            if (i == 0) continue;
            submits.push_back((submitted - start) / 1e6);
            totals.push_back((done - start) / 1e6);
        }
    });
    r.counter("transfer_ms", bench::quantile(submits, 0.5));
    r.counter("total_ms", bench::quantile(totals, 0.5));
}
void run_transfer(bench::run& r) {
    // submit() also frees the vector that was moved into it. That the C library would give its
    // pages back to the kernel each time, for as long as the copy takes, is no part of the way.
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, 2'000'000'000);
    run_large(r, ends_of, 2);
}
void run_large_sum(bench::run& r) { run_large(r, sum_of, static_cast<double>(large_doubles)); }

void run_idle(bench::run& r) {
    concur::process_pool pool{{.workers = r.workers()}};
    for (std::uint64_t i = 0; i < 1000; ++i) pool.submit(echo, i).get();
    auto pids = pids_of(pool);
    int const nursery = parent_of(*pids.begin());
    pids.insert({nursery, parent_of(nursery), static_cast<int>(getpid())});
    pids.erase(1);
    auto const used = [&] {
        double sum = 0;
        for (int const pid : pids) sum += cpu_seconds_of(pid);
        return sum;
    };
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
    double const before = used();
    bench::run::check(before > 0, "the kernel does not count (no /proc/<pid>/task/*/schedstat)");
    r.measure(1,
              [&] { std::this_thread::sleep_for(std::chrono::milliseconds{r.size(1000, 500)}); });
    r.counter("cpu_percent", 100 * (used() - before) / r.result().wall);
}

void run_memory(bench::run& r) {
    ballast const full{small_ballast};
    concur::process_pool pool{{.workers = r.workers()}};
    for (std::uint64_t i = 0; i < 1000; ++i) pool.submit(echo, i).get();
    auto const pids = pids_of(pool);
    double sum = 0;
    r.measure(1, [&] {
        for (int const pid : pids) sum += private_kib_of(pid);
    });
    r.counter("private_kib", sum / static_cast<double>(pids.size()));
}

bench::rival const rival{"concur",
                         {{hot, run_hot},
                          {blocked_2, run_blocked_2},
                          {blocked_1, run_blocked_1},
                          {empty_tasks, run_empty_tasks},
                          {map_cheap, run_map_collect},
                          {map_lazy, run_map_lazy},
                          {start_small, run_start_small},
                          {start_2gb, run_start_2gb},
                          {death_small, run_death_small},
                          {death_2gb, run_death_2gb},
                          {transfer, run_transfer},
                          {large, run_large_sum},
                          {idle_cpu, run_idle},
                          {memory, run_memory}}};

}  // namespace

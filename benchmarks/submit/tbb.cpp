// SPDX-License-Identifier: BSL-1.0
// oneTBB: task_group, which has no futures; and arena.enqueue with a std::promise where one result
// has to come back.
#include "problem.hpp"

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>
#include <future>

namespace {

namespace tbb = oneapi::tbb;
using submission::count_one;

/// The calling thread takes part in a task_group: it and workers - 1 others.
class group_threads {
public:
    explicit group_threads(std::size_t workers)
        : limit_{tbb::global_control::max_allowed_parallelism, workers} {}

private:
    tbb::global_control limit_;
};

/// As many threads as other pools have, beside the caller.
class arena {
public:
    explicit arena(std::size_t workers)
        : limit_{tbb::global_control::max_allowed_parallelism, workers + 1},
          arena_{static_cast<int>(workers), 0} {}

    template <class F>
    void post(F f) {
        arena_.enqueue(std::move(f));
    }

    /// A std::promise is all that TBB leaves to its user; the task owns it.
    template <class F>
    auto submit(F f) {
        auto promise = std::make_shared<std::promise<decltype(f())>>();
        auto future = promise->get_future();
        arena_.enqueue([promise, f] {
            if constexpr (std::is_void_v<decltype(f())>) {
                f();
                promise->set_value();
            } else {
                promise->set_value(f());
            }
        });
        return future;
    }

private:
    tbb::global_control limit_;
    tbb::task_arena arena_;
};

void group_run(tbb::task_group& group, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) group.run([] { count_one(); });
}

void group(bench::run& r) {
    auto const n = r.size(1'000'000, 50'000);
    submission::exactly const expected{n};
    group_threads const threads{r.workers()};
    tbb::task_group group;
    r.measure(n, [&] {
        group_run(group, n);
        group.wait();
    });
    expected.check();
}

void group_2(bench::run& r) {
    auto const n = r.size(1'000'000, 50'000);
    submission::exactly const expected{n};
    group_threads const threads{r.workers()};
    submission::measure_two_threads(r, n, [&](std::size_t half) {
        tbb::task_group group;
        group_run(group, half);
        group.wait();
    });
    expected.check();
}

void enqueue_and_get(arena& pool, std::size_t n) {
    std::vector<std::future<void>> futures;
    futures.reserve(n);
    for (std::size_t i = 0; i < n; ++i) futures.push_back(pool.submit([] { count_one(); }));
    for (auto& each : futures) each.get();
}

void enqueue(bench::run& r) {
    auto const n = r.size(1'000'000, 50'000);
    submission::exactly const expected{n};
    arena pool{r.workers()};
    r.measure(n, [&] { enqueue_and_get(pool, n); });
    expected.check();
}

void trips(bench::run& r, std::size_t count, std::chrono::microseconds pause) {
    arena pool{r.workers()};
    submission::measure_trips(
        r, count, pause, [&](std::uint64_t i) { return pool.submit([i] { return i; }).get(); });
}

void hot(bench::run& r) { trips(r, r.size(20'000, 1'000), {}); }
void idle(bench::run& r) { trips(r, r.size(1'500, 200), std::chrono::microseconds{300}); }

submission::gate block(arena& pool, std::size_t workers) {
    submission::gate gate;
    for (std::size_t i = 0; i < workers; ++i) pool.post([gate] { gate.pass(); });
    gate.await(workers);
    return gate;
}

void memory_future(bench::run& r) {
    arena pool{r.workers()};
    auto const gate = block(pool, r.workers());
    auto const kept = submission::measure_memory(r, [&](std::size_t n) {
        std::vector<std::future<void>> futures;
        futures.reserve(n);
        for (std::size_t i = 0; i < n; ++i) futures.push_back(pool.submit([] { count_one(); }));
        return futures;
    });
    submission::exactly const expected{kept->size()};
    gate.open();
    for (auto& each : *kept) each.get();
    expected.check();
}

void memory_post(bench::run& r) {
    arena pool{r.workers()};
    auto const gate = block(pool, r.workers());
    auto const ran = std::make_shared<std::atomic<std::size_t>>(0);
    auto const queued = submission::measure_memory(r, [&](std::size_t n) {
        for (std::size_t i = 0; i < n; ++i) pool.post([ran = ran.get()] { ran->fetch_add(1); });
        return n;
    });
    gate.open();
    while (ran->load() < *queued) std::this_thread::yield();
}

void idle_cpu(bench::run& r) {
    arena pool{r.workers()};
    enqueue_and_get(pool, 1000);
    submission::measure_idle(r);
}

void start_up(bench::run& r) {
    std::unique_ptr<arena> pool;
    r.measure(1, [&] {
        pool = std::make_unique<arena>(r.workers());
        pool->submit([] {}).get();
    });
}

bench::rival const rival{"tbb",
                         {{submission::submit_get, group},
                          {submission::post_wait, group},
                          {submission::submit_get_2, group_2},
                          {submission::post_wait_2, group_2},
                          {submission::round_trip_hot, hot},
                          {submission::round_trip_idle, idle},
                          {submission::memory_future, memory_future},
                          {submission::memory_post, memory_post},
                          {submission::idle_cpu, idle_cpu},
                          {submission::start_up, start_up}}};
bench::rival const with_promise{"tbb+promise", {{submission::submit_get, enqueue}}};

}  // namespace

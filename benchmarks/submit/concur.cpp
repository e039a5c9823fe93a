// SPDX-License-Identifier: BSL-1.0
// concur::thread_pool: submit, and post.
#include "problem.hpp"

#include <concur/thread_pool.hpp>

namespace {

using submission::count_one;
using futures = std::vector<concur::future<void>>;

futures submit_all(concur::thread_pool& pool, std::size_t n) {
    futures made;
    made.reserve(n);
    for (std::size_t i = 0; i < n; ++i) made.push_back(pool.submit([] { count_one(); }));
    return made;
}

void submit_and_get(concur::thread_pool& pool, std::size_t n) {
    auto made = submit_all(pool, n);
    for (auto& each : made) each.get();
}

void post_all(concur::thread_pool& pool, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) pool.post([] { count_one(); });
}

/// Counts the library's own futex system calls while `measure` runs.
template <class Measure>
void count_futex_calls(bench::run& r, std::size_t n, Measure measure) {
    std::uint64_t const before = concur::detail::futex_calls();
    measure();
    r.counter("futex_per_task",
              static_cast<double>(concur::detail::futex_calls() - before) / static_cast<double>(n));
}

void submit_get(bench::run& r) {
    auto const n = r.size(1'000'000, 50'000);
    submission::exactly const expected{n};
    concur::thread_pool pool{{.workers = r.workers()}};
    count_futex_calls(r, n, [&] { r.measure(n, [&] { submit_and_get(pool, n); }); });
    expected.check();
}

void submit_get_2(bench::run& r) {
    auto const n = r.size(1'000'000, 50'000);
    submission::exactly const expected{n};
    concur::thread_pool pool{{.workers = r.workers()}};
    count_futex_calls(r, n, [&] {
        submission::measure_two_threads(r, n,
                                        [&](std::size_t half) { submit_and_get(pool, half); });
    });
    expected.check();
}

void post_wait(bench::run& r) {
    auto const n = r.size(1'000'000, 50'000);
    submission::exactly const expected{n};
    concur::thread_pool pool{{.workers = r.workers()}};
    count_futex_calls(r, n, [&] {
        r.measure(n, [&] {
            post_all(pool, n);
            pool.wait_idle();
        });
    });
    expected.check();
}

void post_wait_2(bench::run& r) {
    auto const n = r.size(1'000'000, 50'000);
    submission::exactly const expected{n};
    concur::thread_pool pool{{.workers = r.workers()}};
    count_futex_calls(r, n, [&] {
        submission::measure_two_threads(r, n, [&](std::size_t half) {
            post_all(pool, half);
            pool.wait_idle();
        });
    });
    expected.check();
}

void trips(bench::run& r, std::size_t count, std::chrono::microseconds pause) {
    concur::thread_pool pool{{.workers = r.workers()}};
    count_futex_calls(r, count, [&] {
        submission::measure_trips(
            r, count, pause, [&](std::uint64_t i) { return pool.submit([i] { return i; }).get(); });
    });
}

void hot(bench::run& r) { trips(r, r.size(20'000, 1'000), {}); }
void idle(bench::run& r) { trips(r, r.size(1'500, 200), std::chrono::microseconds{300}); }

submission::gate block(concur::thread_pool& pool, std::size_t workers) {
    submission::gate gate;
    for (std::size_t i = 0; i < workers; ++i) pool.post([gate] { gate.pass(); });
    gate.await(workers);
    return gate;
}

void memory_future(bench::run& r) {
    concur::thread_pool pool{{.workers = r.workers()}};
    auto const gate = block(pool, r.workers());
    auto const kept =
        submission::measure_memory(r, [&](std::size_t n) { return submit_all(pool, n); });
    submission::exactly const expected{kept->size()};
    gate.open();
    for (auto& each : *kept) each.get();
    expected.check();
}

void memory_post(bench::run& r) {
    concur::thread_pool pool{{.workers = r.workers()}};
    auto const gate = block(pool, r.workers());
    auto const queued = submission::measure_memory(r, [&](std::size_t n) {
        post_all(pool, n);
        return n;
    });
    submission::exactly const expected{*queued};
    gate.open();
    pool.wait_idle();
    expected.check();
}

void idle_cpu(bench::run& r) {
    concur::thread_pool pool{{.workers = r.workers()}};
    submit_and_get(pool, 1000);
    submission::measure_idle(r);
}

void start_up(bench::run& r) {
    std::unique_ptr<concur::thread_pool> pool;
    r.measure(1, [&] {
        pool = std::make_unique<concur::thread_pool>(
            concur::thread_pool_options{.workers = r.workers()});
        pool->submit([] {}).get();
    });
}

bench::rival const rival{"concur",
                         {{submission::submit_get, submit_get},
                          {submission::post_wait, post_wait},
                          {submission::submit_get_2, submit_get_2},
                          {submission::post_wait_2, post_wait_2},
                          {submission::round_trip_hot, hot},
                          {submission::round_trip_idle, idle},
                          {submission::memory_future, memory_future},
                          {submission::memory_post, memory_post},
                          {submission::idle_cpu, idle_cpu},
                          {submission::start_up, start_up}}};

}  // namespace

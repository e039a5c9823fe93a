// SPDX-License-Identifier: BSL-1.0
// boost::asio::thread_pool: post, and post with use_future.
#include "problem.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <future>

namespace {

namespace asio = boost::asio;
using submission::count_one;

auto with_future(asio::thread_pool& pool) {
    return asio::post(pool, asio::use_future([] { count_one(); }));
}

void submit_and_get(asio::thread_pool& pool, std::size_t n) {
    std::vector<std::future<void>> futures;
    futures.reserve(n);
    for (std::size_t i = 0; i < n; ++i) futures.push_back(with_future(pool));
    for (auto& each : futures) each.get();
}

void post_all(asio::thread_pool& pool, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) asio::post(pool, [] { count_one(); });
}

void submit_get(bench::run& r) {
    auto const n = r.size(1'000'000, 50'000);
    submission::exactly const expected{n};
    asio::thread_pool pool{r.workers()};
    r.measure(n, [&] { submit_and_get(pool, n); });
    expected.check();
}

void submit_get_2(bench::run& r) {
    auto const n = r.size(1'000'000, 50'000);
    submission::exactly const expected{n};
    asio::thread_pool pool{r.workers()};
    submission::measure_two_threads(r, n, [&](std::size_t half) { submit_and_get(pool, half); });
    expected.check();
}

// join() is Asio's only way of waiting for all; it also ends the threads.
void post_wait(bench::run& r) {
    auto const n = r.size(1'000'000, 50'000);
    submission::exactly const expected{n};
    asio::thread_pool pool{r.workers()};
    r.measure(n, [&] {
        post_all(pool, n);
        pool.join();
    });
    expected.check();
}

// The last of the two submitters waits for all.
void post_wait_2(bench::run& r) {
    auto const n = r.size(1'000'000, 50'000);
    submission::exactly const expected{n};
    asio::thread_pool pool{r.workers()};
    std::atomic<int> submitters{2};
    submission::measure_two_threads(r, n, [&](std::size_t half) {
        post_all(pool, half);
        if (--submitters == 0) pool.join();
    });
    expected.check();
}

void trips(bench::run& r, std::size_t count, std::chrono::microseconds pause) {
    asio::thread_pool pool{r.workers()};
    submission::measure_trips(r, count, pause, [&](std::uint64_t i) {
        return asio::post(pool, asio::use_future([i] { return i; })).get();
    });
}

void hot(bench::run& r) { trips(r, r.size(20'000, 1'000), {}); }
void idle(bench::run& r) { trips(r, r.size(1'500, 200), std::chrono::microseconds{300}); }

submission::gate block(asio::thread_pool& pool, std::size_t workers) {
    submission::gate gate;
    for (std::size_t i = 0; i < workers; ++i) asio::post(pool, [gate] { gate.pass(); });
    gate.await(workers);
    return gate;
}

void memory_future(bench::run& r) {
    asio::thread_pool pool{r.workers()};
    auto const gate = block(pool, r.workers());
    auto const kept = submission::measure_memory(r, [&](std::size_t n) {
        std::vector<std::future<void>> futures;
        futures.reserve(n);
        for (std::size_t i = 0; i < n; ++i) futures.push_back(with_future(pool));
        return futures;
    });
    submission::exactly const expected{kept->size()};
    gate.open();
    for (auto& each : *kept) each.get();
    expected.check();
}

void memory_post(bench::run& r) {
    asio::thread_pool pool{r.workers()};
    auto const gate = block(pool, r.workers());
    auto const queued = submission::measure_memory(r, [&](std::size_t n) {
        post_all(pool, n);
        return n;
    });
    submission::exactly const expected{*queued};
    gate.open();
    pool.join();
    expected.check();
}

void idle_cpu(bench::run& r) {
    asio::thread_pool pool{r.workers()};
    submit_and_get(pool, 1000);
    submission::measure_idle(r);
}

void start_up(bench::run& r) {
    std::unique_ptr<asio::thread_pool> pool;
    r.measure(1, [&] {
        pool = std::make_unique<asio::thread_pool>(r.workers());
        with_future(*pool).get();
    });
}

bench::rival const rival{"asio",
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

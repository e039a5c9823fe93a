// SPDX-License-Identifier: BSL-1.0
// Promises of options: what may be written, what is refused, and max_pending.
#include "all_executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/error.hpp>
#include <concur/executor.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace conformance;

namespace {

int same(int x) { return x; }

}  // namespace

TEST_CASE("options: count takes any integral without a narrowing warning") {
    const short s = 3;
    const int i = 4;
    const long l = 5;
    const unsigned u = 6;
    const std::size_t z = 7;
    const std::uint8_t b = 8;
    const concur::map_options a{.chunk_size = s, .window = i};
    const concur::map_options c{.chunk_size = l, .window = u};
    const concur::map_options d{.chunk_size = z, .window = b};
    concur::serial_executor ex;
    for (const auto& options : {a, c, d})
        CHECK(ex.map(options, same, numbers(10)).collect() == numbers(10));
    const concur::thread_pool pool({.workers = z});
    CHECK(pool.worker_count() == 7);
    const concur::thread_pool small({.workers = b});
    CHECK(small.worker_count() == 8);
}

TEST_CASE("options: a negative count is std::invalid_argument, wherever it is made") {
    CHECK_THROWS_AS(concur::count(-1), std::invalid_argument);
    CHECK_THROWS_AS(concur::count(-1L), std::invalid_argument);
    CHECK_THROWS_AS(concur::count{std::numeric_limits<long long>::min()}, std::invalid_argument);
    CHECK_THROWS_AS(concur::count(static_cast<signed char>(-7)), std::invalid_argument);
    CHECK_NOTHROW(concur::count(0));
    CHECK_NOTHROW(concur::count{std::numeric_limits<std::size_t>::max()});
    CHECK_THROWS_AS(concur::thread_pool({.workers = 1, .max_pending = -1}), std::invalid_argument);
}

TEST_CASE("options: partial lists of designated initialisers compile without a warning") {
    const concur::task_options task{.retries = 1};
    CHECK(task.name.empty());
    CHECK_FALSE(task.timeout.has_value());
    CHECK(task.priority == 0);
    CHECK_FALSE(task.seed.has_value());
    const concur::map_options map{.window = 3, .seed = 5};
    CHECK(map.name.empty());
    CHECK_FALSE(map.deadline.has_value());
    CHECK(map.retries == 0);
    const concur::shutdown_options shutdown{.cancel_pending = true};
    CHECK(shutdown.wait);
    CHECK_FALSE(concur::shutdown_options().cancel_pending);
    const concur::thread_pool pool({.workers = 1, .name = "n"});
    CHECK(pool.worker_count() == 1);
}

TEST_CASE_TEMPLATE("options: negative retries are refused", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(1);
    CHECK_THROWS_AS(static_cast<void>(ex.submit({.retries = -1}, same, 1)), std::invalid_argument);
    CHECK_THROWS_AS(ex.post({.retries = -1}, same, 1), std::invalid_argument);
    ex.wait_idle();
    CHECK(ex.stats().submitted == 0);
}

TEST_CASE_TEMPLATE("options: absurdly large chunks and windows are as good as none", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    const auto huge = std::numeric_limits<std::size_t>::max();
    const auto data = numbers(100);
    CHECK(ex.map({.chunk_size = huge}, same, data).collect() == data);
    CHECK(ex.map({.window = huge}, same, data).collect() == data);
    CHECK(ex.map({.chunk_size = huge, .window = huge}, same, data).collect() == data);
    CHECK(drain<int>(ex.map({.chunk_size = huge, .window = huge}, same, data)).values == data);
    CHECK(ex.map({.chunk_size = huge, .window = 3}, same, data).collect() == data);
    CHECK(ex.reduce({.chunk_size = huge}, [](int a, int b) { return a + b; }, data, 0) == 4950);
    ex.for_each({.chunk_size = huge / 2 + 1}, same, data);
}

TEST_CASE("options: a number of workers that cannot be made is an exception, not a crash") {
    const watchdog guard;
    const auto before = live_threads();
    try {
        const concur::thread_pool pool({.workers = std::numeric_limits<std::size_t>::max() / 2});
        FAIL("that many workers?");
    } catch (const std::exception& error) {
        CHECK(std::string(error.what()) != "");
    }
    eventually([&] { return none_but(before); });
}

TEST_CASE("max_pending 145: a full queue makes an outside submit wait for space") {
    const watchdog guard("a submit into a full queue");
    constexpr int limit = 3;
    concur::thread_pool pool({.workers = 1, .max_pending = limit});
    std::optional<blocker<concur::thread_pool>> hold(std::in_place, pool);
    std::atomic<int> submitted = 0;
    std::atomic<int> ran = 0;
    std::thread submitter([&] {
        for (int i = 0; i != 20; ++i) {
            pool.post([&] { ++ran; });
            ++submitted;
        }
    });
    eventually([&] { return submitted == limit; });
    // Nothing can make room now; a submit that went through all the same would be seen here.
    CHECK_FALSE(holds_within(50ms, [&] { return submitted > limit; }));
    CHECK(pool.stats().pending <= limit);
    hold.reset();
    submitter.join();
    pool.wait_idle();
    CHECK(ran == 20);
}

TEST_CASE("max_pending 145: the queue never exceeds the limit") {
    const watchdog guard;
    concur::thread_pool pool({.workers = 2, .max_pending = 5});
    std::atomic<int> waiting = 0;
    std::atomic<int> most = 0;
    std::vector<std::jthread> submitters;
    for (int t = 0; t != 3; ++t)
        submitters.emplace_back([&] {
            for (int i = 0; i != 300; ++i) {
                pool.post([&] { --waiting; });
                // counted after the submit: a lower bound of what is in the queue
                const int now = ++waiting;
                int seen = most;
                while (seen < now && !most.compare_exchange_weak(seen, now)) {
                }
            }
        });
    submitters.clear();
    pool.wait_idle();
    CHECK(waiting == 0);
    CHECK(most <= 5 + 2);  // and those that run
}

TEST_CASE("max_pending 145: a submit that waits for space is woken by a cancel") {
    const watchdog guard("a submit into a full queue, after a cancel");
    concur::thread_pool pool({.workers = 1, .max_pending = 1});
    blocker hold(pool);
    auto queued = pool.submit([] {});
    gate waits;
    std::thread submitter([&] {
        waits.open();
        pool.post([] {});
    });
    waits.wait();
    REQUIRE(queued.cancel());
    submitter.join();
}

TEST_CASE("max_pending 145: a submit that waits for space is woken by shutdown") {
    const watchdog guard("a submit into a full queue, after shutdown");
    for (int round = 0; round != 20; ++round) {
        concur::thread_pool pool({.workers = 1, .max_pending = 1});
        blocker hold(pool);
        pool.post([] {});
        gate waits;
        std::atomic<bool> refused = false;
        std::thread submitter([&] {
            waits.open();
            try {
                pool.post([] {});
            } catch (const concur::executor_shut_down&) {
                refused = true;
            }
        });
        waits.wait();
        pool.shutdown({.wait = false});
        submitter.join();
        CHECK(refused);
    }
}

TEST_CASE("max_pending 146: tasks of the pool itself may exceed the limit") {
    const watchdog guard("a submit of an own task into a full queue");
    concur::thread_pool pool({.workers = 1, .max_pending = 2});
    std::atomic<int> ran = 0;
    auto f = pool.submit([&] {
        const auto me = std::this_thread::get_id();
        std::atomic<bool> inline_run = false;
        bool submitting = true;
        std::vector<concur::future<void>> children;
        for (int i = 0; i != 50; ++i)
            children.push_back(pool.submit([&] {
                if (submitting && std::this_thread::get_id() == me) inline_run = true;
                ++ran;
            }));
        submitting = false;
        for (auto& child : children) child.get();
        return !inline_run;
    });
    CHECK(f.get());
    CHECK(ran == 50);
}

TEST_CASE("max_pending: maps and loops pass through a narrow queue") {
    const watchdog guard;
    concur::thread_pool pool({.workers = 2, .max_pending = 1});
    CHECK(pool.map({.chunk_size = 1, .window = 20}, same, numbers(100)).collect() == numbers(100));
    std::atomic<int> sum = 0;
    pool.for_each({.chunk_size = 1}, [&](int x) { sum += x; }, numbers(100));
    CHECK(sum == 4950);
    CHECK(pool.reduce([](int a, int b) { return a + b; }, numbers(100), 0) == 4950);
}

// SPDX-License-Identifier: BSL-1.0
// Interleavings that reviews of the thread pool found: each hung, crashed or lied once.
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/concur.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <ranges>
#include <vector>

using namespace conformance;
using namespace std::chrono_literals;

TEST_CASE("reviewed: a task made ready from outside is run by the worker that waits for it") {
    const watchdog guard;
    concur::thread_pool pool(1);
    concur::promise<int> input;
    std::atomic<bool> waits = false;
    auto waiting = pool.submit([&, f = input.get_future()]() mutable {
        auto dependent = pool.submit([](int x) { return x + 1; }, std::move(f));
        waits = true;
        return dependent.get();
    });
    eventually([&] { return waits.load(); });
    input.set_value(41);
    CHECK(waiting.get() == 42);
}

TEST_CASE("reviewed: a map may outlive its pool") {
    const watchdog guard;
    std::optional<concur::thread_pool> pool(std::in_place, 2);
    auto results = pool->map({.window = 4}, [](int x) { return x; }, std::views::iota(0, 100));
    pool.reset();
    int read = 0;
    CHECK_THROWS_AS(
        {
            for (int x : results) {
                CHECK(x == read);
                ++read;
            }
        },
        concur::executor_shut_down);
    CHECK(read >= 1);
    CHECK(read <= 4);
}

TEST_CASE("reviewed: a callback of a cancelled future may wait until the pool is idle") {
    const watchdog guard;
    concur::thread_pool pool(1);
    concur::promise<int> never;
    auto dependent = pool.submit([](int x) { return x; }, never.get_future());
    bool idle = false;
    dependent.add_done_callback([&] {
        pool.wait_idle();
        idle = true;
    });
    CHECK(dependent.cancel());
    CHECK(idle);
}

TEST_CASE("reviewed: a callback of a cancelled future may submit to a full pool") {
    const watchdog guard;
    concur::thread_pool pool({.workers = 1, .max_pending = 1});
    concur::promise<int> never;
    auto dependent = pool.submit([](int x) { return x; }, never.get_future());
    concur::future<int> next;
    dependent.add_done_callback([&] { next = pool.submit([] { return 7; }); });
    CHECK(dependent.cancel());
    CHECK(next.get() == 7);
}

TEST_CASE("reviewed: a posted task that runs into its time limit is reported") {
    const watchdog guard;
    std::atomic<int> reported = 0;
    {
        concur::thread_pool pool(
            {.workers = 1, .on_error = [&](std::exception_ptr) { ++reported; }});
        pool.post({.timeout = 10ms}, [] {
            while (!concur::this_task::stop_requested()) std::this_thread::yield();
        });
        pool.wait_idle();
        eventually([&] { return reported == 1; });
    }
    CHECK(reported == 1);
}

TEST_CASE("reviewed: a task may poll for a task of its own full pool, in every way") {
    const watchdog guard;
    concur::thread_pool pool(1);
    const int sum = pool.submit([&] {
                            auto a = pool.submit([] { return 1; });
                            auto b = pool.submit([] { return 2; });
                            while (!a.done()) std::this_thread::yield();
                            while (b.wait_for(0s) != std::future_status::ready) {
                            }
                            return a.get() + b.get();
                        })
                        .get();
    CHECK(sum == 3);
}

TEST_CASE("reviewed: the caller of a loop that only waits has given its place back") {
    const watchdog guard;
    concur::thread_pool pool(2);
    gate other_ran, long_item;
    // The long item ends when a task from outside has run, on the worker that is free by then.
    std::jthread outside([&] {
        long_item.wait();
        pool.post([&] { other_ran.open(); });
    });
    std::atomic<int> items = 0;
    pool.for_each(
        {.chunk_size = 1},
        [&](int i) {
            if (i == 0) {
                long_item.open();
                other_ran.wait();
            }
            ++items;
        },
        std::views::iota(0, 2));
    CHECK(items == 2);
}

TEST_CASE("reviewed: kept and single-pass ranges mix, each in its own way") {
    concur::thread_pool pool(2);
    std::vector<double> values(100, 1.0);
    pool.for_each([](double& x, int i) { x += i; }, values, std::views::iota(0));
    CHECK(values[99] == 100.0);
}

// SPDX-License-Identifier: BSL-1.0
// Promises about the order in which tasks are taken.
#include "executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <mutex>
#include <thread>
#include <vector>

using namespace conformance;

TEST_CASE_TEMPLATE("order: one worker runs the tasks of one outside thread in the order submitted",
                   E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(1);
    for (int round = 0; round != 20; ++round) {
        journal started;
        for (int i = 0; i != 500; ++i) ex.post([&, i] { started.note(i); });
        ex.wait_idle();
        REQUIRE(started.entries() == numbers(500));
    }
}

TEST_CASE_TEMPLATE("order: post and submit share one queue", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(1);
    journal started;
    for (int i = 0; i != 200; ++i) {
        if (i % 3 == 0)
            ex.post([&, i] { started.note(i); });
        else
            static_cast<void>(ex.submit([&, i] { started.note(i); }));
    }
    ex.wait_idle();
    CHECK(started.entries() == numbers(200));
}

TEST_CASE_TEMPLATE("order: with w workers, a task never overtakes one w or more places before it",
                   E, CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::parallel);
    const watchdog guard;
    constexpr int workers = 3;
    auto ex = E::make(workers);
    // Taken in order: when the first `workers` tasks hold the workers, nothing behind them runs.
    std::atomic<int> started = 0;
    gate door;
    const opens_at_exit at_exit(door);
    std::vector<concur::future<void>> first;
    for (int i = 0; i != workers; ++i)
        first.push_back(ex.submit([&] {
            ++started;
            door.wait();
        }));
    std::atomic<bool> overtaken = false;
    auto behind = ex.submit([&] { overtaken = true; });
    eventually([&] { return started == workers; });
    CHECK_FALSE(overtaken);
    door.open();
    behind.get();
}

TEST_CASE_TEMPLATE("order: tasks of one outside thread start in order on several workers, too", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::parallel);
    const watchdog guard;
    constexpr int workers = 2;
    auto ex = E::make(workers);
    for (int round = 0; round != 20; ++round) {
        constexpr int count = 60;
        std::vector<gate> doors(count);
        journal started;
        for (int i = 0; i != count; ++i)
            ex.post([&, i] {
                started.note(i);
                doors[static_cast<std::size_t>(i)].wait();
            });
        // Opening door i frees the worker that holds task i, which then takes the next in line.
        for (int i = 0; i != count; ++i) {
            const auto expected = static_cast<std::size_t>(std::min(i + workers, count));
            eventually([&] { return started.entries().size() >= expected; });
            auto entries = started.entries();
            REQUIRE(entries.size() == expected);
            std::sort(entries.begin(), entries.end());
            REQUIRE(entries == numbers(static_cast<int>(expected)));
            doors[static_cast<std::size_t>(i)].open();
        }
        ex.wait_idle();
    }
}

TEST_CASE_TEMPLATE("order: each of several outside threads sees its own tasks in order", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    journal started[4];
    {
        std::vector<std::jthread> threads;
        for (auto& mine : started)
            threads.emplace_back([&] {
                for (int i = 0; i != 500; ++i) ex.post([&mine, i] { mine.note(i); });
            });
    }
    ex.wait_idle();
    for (const auto& mine : started) CHECK(mine.entries() == numbers(500));
}

TEST_CASE_TEMPLATE("order 152: the highest priority starts first, in order among equals", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::parallel);
    const watchdog guard;
    auto ex = E::make(1);
    journal started;
    {
        blocker hold(ex);
        for (int i = 0; i != 3; ++i) {
            ex.post([&, i] { started.note(i); });
            ex.post({.priority = -5}, [&, i] { started.note(-10 + i); });
            ex.post({.priority = 10}, [&, i] { started.note(100 + i); });
            ex.post({.priority = 3}, [&, i] { started.note(30 + i); });
        }
    }
    ex.wait_idle();
    CHECK(started.entries() == std::vector{100, 101, 102, 30, 31, 32, 0, 1, 2, -10, -9, -8});
}

TEST_CASE_TEMPLATE("order 152: priority of map items counts against other tasks", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::parallel);
    const watchdog guard;
    auto ex = E::make(1);
    journal started;
    {
        blocker hold(ex);
        ex.post([&] { started.note(1); });
        auto urgent = ex.map(
            {.chunk_size = 1, .priority = 7},
            [&](int) {
                started.note(7);
                return 0;
            },
            numbers(1));
        hold.release();
        static_cast<void>(drain<int>(urgent));
    }
    ex.wait_idle();
    CHECK(started.entries() == std::vector{7, 1});
}

TEST_CASE_TEMPLATE("order: serial runs each task before submit returns", E, CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(!E::asynchronous);
    auto ex = E::make(1);
    std::vector<int> events;
    auto f = ex.submit([&] {
        events.push_back(1);
        return std::this_thread::get_id();
    });
    events.push_back(2);
    CHECK(events == std::vector{1, 2});
    CHECK(f.done());
    CHECK(f.get() == std::this_thread::get_id());
    ex.post([&] { events.push_back(3); });
    CHECK(events == std::vector{1, 2, 3});
}

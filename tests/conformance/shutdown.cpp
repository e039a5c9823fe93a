// SPDX-License-Identifier: BSL-1.0
// Promises of shutdown, destruction and wait_idle.
#include "all_executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/error.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <thread>
#include <vector>

using namespace conformance;

TEST_CASE_TEMPLATE("shutdown 57: everything submitted has finished when shutdown() returns", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    const auto before = live_threads();
    auto ex = E::make(3);
    std::vector<concur::future<int>> futures;
    for (int i = 0; i != 50; ++i) futures.push_back(ex.submit([i] { return i; }));
    ex.shutdown();
    for (int i = 0; i != 50; ++i) {
        CHECK(futures[static_cast<std::size_t>(i)].done());
        CHECK(futures[static_cast<std::size_t>(i)].get() == i);
    }
    eventually([&] { return none_but(before); });
}

TEST_CASE_TEMPLATE("shutdown 57: tasks that tasks submit finish, too", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    std::atomic<int> ran = 0;
    {
        auto ex = E::make(2);
        for (int i = 0; i != 20; ++i)
            ex.post([&] {
                for (int k = 0; k != 5; ++k) ex.post([&] { ++ran; });
            });
        ex.wait_idle();
        CHECK(ran == 100);
    }
}

TEST_CASE_TEMPLATE("shutdown 58: without waiting it returns at once, and the work still ends", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    const auto before = live_threads();
    gate door;
    const opens_at_exit at_exit(door);
    auto ex = E::make(1);
    auto running = ex.submit([&] { return door.wait(), 1; });
    std::vector<concur::future<int>> queued;
    for (int i = 0; i != 10; ++i) queued.push_back(ex.submit([i] { return i; }));
    ex.shutdown({.wait = false});  // would hang here if it waited
    CHECK_FALSE(queued.back().done());
    CHECK_THROWS_AS(static_cast<void>(ex.submit([] {})), concur::executor_shut_down);
    door.open();
    for (int i = 0; i != 10; ++i) CHECK(queued[static_cast<std::size_t>(i)].get() == i);
    CHECK(running.get() == 1);
    eventually([&] { return none_but(before); });  // the workers went by themselves
}

TEST_CASE_TEMPLATE("shutdown 59: cancel_pending cancels what waits, not what runs", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    gate started;
    gate door;
    const opens_at_exit at_exit(door);
    auto running = ex.submit([&] {
        started.open();
        door.wait();
        return 1;
    });
    started.wait();
    std::vector<concur::shared_future<int>> queued;
    for (int i = 0; i != 20; ++i) queued.push_back(ex.submit([i] { return i; }).share());
    concur::promise<int> never;
    auto dependent = ex.submit([](int x) { return x; }, never.get_future());
    gate waits;
    bool woke_cancelled = false;
    std::thread waiter([&, last = queued.back()] {
        waits.open();
        last.wait();
        woke_cancelled = last.cancelled();
    });
    waits.wait();
    ex.shutdown({.wait = false, .cancel_pending = true});
    waiter.join();  // the worker is still busy
    CHECK(woke_cancelled);
    for (const auto& f : queued) CHECK(f.cancelled());
    CHECK(dependent.cancelled());
    CHECK_FALSE(running.done());
    door.open();
    CHECK(running.get() == 1);
    ex.shutdown();
    CHECK(ex.stats().cancelled == 21);
    CHECK(ex.stats().completed == 1);
}

TEST_CASE_TEMPLATE("shutdown 60: repeated calls are legal, each at least as strong", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    gate door;
    const opens_at_exit at_exit(door);
    gate started;
    auto running = ex.submit([&] {
        started.open();
        door.wait();
    });
    started.wait();
    auto queued = ex.submit([] { return 1; });
    ex.shutdown({.wait = false});
    CHECK_FALSE(queued.cancelled());
    ex.shutdown({.wait = false});
    ex.shutdown({.wait = false, .cancel_pending = true});
    CHECK(queued.cancelled());
    door.open();
    ex.shutdown({.wait = true, .cancel_pending = true});
    CHECK(running.done());
    ex.shutdown();
    ex.shutdown();
}

TEST_CASE("shutdown 60: several threads may shut one pool down") {
    const watchdog guard;
    for (int round = 0; round != 100; ++round) {
        concur::thread_pool pool(2);
        std::atomic<int> ran = 0;
        for (int i = 0; i != 10; ++i) pool.post([&] { ++ran; });
        std::atomic<int> seen_unfinished = 0;
        {
            std::vector<std::jthread> threads;
            for (int t = 0; t != 4; ++t)
                threads.emplace_back([&] {
                    pool.shutdown();
                    if (ran != 10) ++seen_unfinished;
                });
        }
        REQUIRE(seen_unfinished == 0);
    }
}

TEST_CASE_TEMPLATE("shutdown 61: the destructor finishes what was submitted", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    std::atomic<int> ran = 0;
    std::vector<concur::future<int>> futures;
    {
        auto ex = E::make(2);
        for (int i = 0; i != 100; ++i) futures.push_back(ex.submit([&] { return ++ran; }));
        for (int i = 0; i != 100; ++i) ex.post([&] { ++ran; });
    }
    CHECK(ran == 200);
    for (const auto& f : futures) CHECK(f.done());
}

TEST_CASE_TEMPLATE("shutdown 61: an executor that was never used goes quietly", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    const auto before = live_threads();
    for (int round = 0; round != 20; ++round) {
        auto ex = E::make(3);
        static_cast<void>(ex.worker_count());
    }
    eventually([&] { return none_but(before); });
}

TEST_CASE_TEMPLATE("shutdown 62: waiting for the executor inside its own task is would_deadlock", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard("shutdown() or wait_idle() inside an own task");
    auto ex = E::make(2);
    auto shut = ex.submit([&] { ex.shutdown(); });
    auto idle = ex.submit([&] { ex.wait_idle(); });
    CHECK_THROWS_AS(shut.get(), concur::would_deadlock);
    CHECK_THROWS_AS(idle.get(), concur::would_deadlock);
    CHECK(ex.submit([] { return 1; }).get() == 1);  // it changed nothing
    CHECK_THROWS_AS(ex.for_each([&](int) { ex.shutdown(); }, std::vector{1}),
                    concur::would_deadlock);
    CHECK(ex.submit([] { return 2; }).get() == 2);
}

TEST_CASE_TEMPLATE("shutdown 62: a shutdown() that does not wait is fine inside an own task", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(1);
    auto f = ex.submit([&] {
        ex.shutdown({.wait = false});
        return 5;
    });
    CHECK(f.get() == 5);
    CHECK_THROWS_AS(static_cast<void>(ex.submit([] {})), concur::executor_shut_down);
}

TEST_CASE("shutdown 62: in a callback that runs on a worker it is would_deadlock as well") {
    const watchdog guard;
    error_log errors;
    concur::thread_pool pool({.workers = 1, .on_error = std::ref(errors)});
    std::atomic<int> refused = 0;
    gate called;
    {
        blocker hold(pool);
        auto f = pool.submit([] {});
        f.add_done_callback([&] {
            try {
                pool.shutdown();
            } catch (const concur::would_deadlock&) {
                ++refused;
            }
            try {
                pool.wait_idle();
            } catch (const concur::would_deadlock&) {
                ++refused;
            }
            called.open();
        });
    }
    called.wait();
    CHECK(refused == 2);
    CHECK(pool.submit([] { return 1; }).get() == 1);
}

TEST_CASE("shutdown 62: another executor may be shut down inside a task") {
    const watchdog guard;
    concur::thread_pool outer(1);
    auto f = outer.submit([] {
        concur::thread_pool inner(2);
        auto value = inner.submit([] { return 3; });
        inner.shutdown();
        return value.get();
    });
    CHECK(f.get() == 3);
}

TEST_CASE("shutdown 62: a pool whose last owner is one of its own tasks goes without a hang") {
    const watchdog guard("a pool that is destroyed by its own task");
    const auto before = live_threads();
    for (int round = 0; round != 20; ++round) {
        auto pool = std::make_shared<concur::thread_pool>(2);
        gate released;
        auto f = pool->submit([owner = pool, &released]() mutable {
            released.wait();
            owner.reset();
            return 4;
        });
        pool.reset();
        released.open();
        CHECK(f.get() == 4);
    }
    eventually([&] { return none_but(before); });
}

TEST_CASE_TEMPLATE("shutdown 64: making and ending executors under load never hangs", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    std::atomic<int> ran = 0;
    for (int round = 0; round != 200; ++round) {
        auto ex = E::make(4);
        for (int i = 0; i != 8; ++i) ex.post([&] { ++ran; });
    }
    CHECK(ran == 1600);
}

TEST_CASE_TEMPLATE("shutdown 68: wait_idle() waits for everything and ends nothing", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    ex.wait_idle();
    std::atomic<int> ran = 0;
    for (int round = 1; round != 51; ++round) {
        for (int i = 0; i != 10; ++i) ex.post([&] { ++ran; });
        ex.wait_idle();
        REQUIRE(ran == 10 * round);
    }
    const auto stats = ex.stats();
    CHECK(stats.pending == 0);
    CHECK(stats.running == 0);
    ex.shutdown();
    ex.wait_idle();
}

TEST_CASE_TEMPLATE("shutdown 68: wait_idle() returns although tasks were cancelled or failed", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    std::optional<blocker<typename E::type>> hold(std::in_place, ex);
    auto cancelled = ex.submit([] {});
    auto failing = ex.submit([] { throw custom_error(1); });
    REQUIRE(cancelled.cancel());
    hold.reset();
    ex.wait_idle();
    CHECK(failing.done());
}

TEST_CASE("shutdown 68: wait_idle() in several threads at once") {
    const watchdog guard;
    concur::thread_pool pool(2);
    std::atomic<int> ran = 0;
    for (int i = 0; i != 100; ++i) pool.post([&] { ++ran; });
    std::atomic<int> early = 0;
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t != 4; ++t)
            threads.emplace_back([&] {
                pool.wait_idle();
                if (ran != 100) ++early;
            });
    }
    CHECK(early == 0);
}

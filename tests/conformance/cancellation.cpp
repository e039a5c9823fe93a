// SPDX-License-Identifier: BSL-1.0
// Promises of cancel().
#include "executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/callable.hpp>
#include <concur/error.hpp>

#include <doctest/doctest.h>

#include <thread>
#include <vector>

using namespace conformance;

TEST_CASE_TEMPLATE("cancel 50: a cancelled task never runs, and everybody is told at once", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard("those who wait for a cancelled task");
    auto ex = E::make(1);
    std::atomic<bool> ran = false;
    std::atomic<int> callbacks = 0;
    {
        blocker hold(ex);
        auto f = ex.submit([&] { ran = true; }).share();
        f.add_done_callback([&] { ++callbacks; });
        gate waits;
        bool woke_cancelled = false;
        std::thread waiter([&] {
            waits.open();
            f.wait();
            woke_cancelled = f.cancelled();
        });
        waits.wait();
        CHECK(f.cancel());
        waiter.join();  // the worker is still busy: nobody waits for it to notice
        CHECK(woke_cancelled);
        CHECK(callbacks == 1);
        CHECK_THROWS_AS(f.get(), concur::task_cancelled);
        CHECK(holds<concur::task_cancelled>(f.exception()));
    }
    ex.shutdown();
    CHECK_FALSE(ran);
    CHECK(callbacks == 1);
}

TEST_CASE_TEMPLATE("cancel 50: captures and arguments of a cancelled task die with the cancel", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    tally counts;
    blocker hold(ex);
    auto f = ex.submit([held = probe(counts)](const probe&) {}, probe(counts));
    CHECK(counts.alive == 2);
    REQUIRE(f.cancel());
    CHECK(counts.alive == 0);  // while the worker is still busy
}

TEST_CASE_TEMPLATE("cancel 50: after a cancel() that comes too late the task runs to its end", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    gate started;
    gate door;
    auto f = ex.submit([&] {
        started.open();
        door.wait();
        return 5;
    });
    started.wait();
    CHECK_FALSE(f.cancel());
    CHECK_FALSE(f.cancelled());
    door.open();
    CHECK(f.get() == 5);
}

TEST_CASE_TEMPLATE("cancel 50: tasks around a cancelled one are not touched", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(2);
    std::vector<concur::future<int>> futures;
    {
        blocker hold(ex);
        for (int i = 0; i != 100; ++i) futures.push_back(ex.submit([i] { return i; }));
        for (std::size_t i = 0; i < 100; i += 2) REQUIRE(futures[i].cancel());
    }
    for (std::size_t i = 1; i < 100; i += 2) CHECK(futures[i].get() == static_cast<int>(i));
    for (std::size_t i = 0; i < 100; i += 2)
        CHECK_THROWS_AS(futures[i].get(), concur::task_cancelled);
}

TEST_CASE_TEMPLATE("cancel 52: submit, cancel, shutdown in a row do not hang", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard("submit, cancel and shutdown in a row");
    for (int round = 0; round != 200; ++round) {
        auto ex = E::make(2);
        auto f = ex.submit([] { return 1; });
        const bool cancelled = f.cancel();
        ex.shutdown();
        REQUIRE(f.done());
        REQUIRE(f.cancelled() == cancelled);
    }
}

TEST_CASE_TEMPLATE("cancel 55: a task cancelled before its start is not retried", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    std::atomic<int> attempts = 0;
    {
        blocker hold(ex);
        auto f = ex.submit({.retries = 5}, concur::retry(5, [&] { ++attempts; }));
        REQUIRE(f.cancel());
    }
    ex.wait_idle();
    CHECK(attempts == 0);
}

TEST_CASE_TEMPLATE("cancel 55: a task that ends early because it was asked to is not retried", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    std::atomic<int> attempts = 0;
    gate started;
    auto f = ex.submit({.retries = 5}, concur::retry(5, [&] {
                           ++attempts;
                           started.open();
                           while (!concur::this_task::stop_requested()) std::this_thread::yield();
                           throw concur::task_cancelled();
                       }));
    started.wait();
    f.request_stop();
    CHECK_THROWS_AS(f.get(), concur::task_cancelled);
    CHECK(attempts == 1);
}

TEST_CASE_TEMPLATE("cancel: a task may cancel another one, and itself to no effect", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    concur::shared_future<int> own;
    concur::shared_future<int> other;
    gate door;
    own = ex.submit([&]() -> int {
                door.wait();
                const bool other_cancelled = other.cancel();
                const bool own_cancelled = own.cancel();
                return (other_cancelled ? 10 : 0) + (own_cancelled ? 1 : 0);
            }).share();
    other = ex.submit([] { return 1; }).share();
    door.open();
    CHECK(own.get() == 10);
    CHECK(other.cancelled());
}

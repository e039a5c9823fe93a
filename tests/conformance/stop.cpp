// SPDX-License-Identifier: BSL-1.0
// Promises of stop requests: who gets a token, and what it hears.
#include "all_executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/executor.hpp>

#include <doctest/doctest.h>

#include <stop_token>
#include <thread>

using namespace conformance;

namespace {

int takes_token(std::stop_token token, int x) { return token.stop_possible() ? x : -x; }

struct takes_either {
    int operator()(int) const { return 1; }
    int operator()(std::stop_token, int) const { return 2; }
};

}  // namespace

TEST_CASE_TEMPLATE("stop: a callable that needs a token gets one", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(1);
    CHECK(ex.submit(takes_token, 3).get() == 3);
    CHECK(ex.submit([](std::stop_token token) { return token.stop_requested(); }).get() == false);
}

TEST_CASE_TEMPLATE("stop: a callable that can do without gets no token", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(1);
    CHECK(ex.submit(takes_either(), 3).get() == 1);
}

TEST_CASE_TEMPLATE("stop: an argument of the caller's that is a token stays the caller's", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(1);
    std::stop_source mine;
    mine.request_stop();
    CHECK(ex.submit([](std::stop_token t) { return t.stop_requested(); }, mine.get_token()).get());
}

TEST_CASE_TEMPLATE("stop 53: a running task hears request_stop() through its token", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    gate started;
    auto f = ex.submit([&](std::stop_token token) {
        started.open();
        while (!token.stop_requested()) std::this_thread::yield();
        return 77;  // a partial value
    });
    started.wait();
    CHECK(f.running());
    f.request_stop();
    CHECK(f.get() == 77);
}

TEST_CASE_TEMPLATE("stop 53: a stop_callback on the token runs", E, CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    gate started;
    auto f = ex.submit([&](std::stop_token token) {
        gate asked;
        const std::stop_callback on_stop(token, [&] { asked.open(); });
        started.open();
        asked.wait();
    });
    started.wait();
    f.request_stop();
    f.get();
}

TEST_CASE_TEMPLATE("stop 53: this_task::stop_requested() works without a token parameter", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    gate started;
    auto f = ex.submit([&] {
        started.open();
        const auto token = concur::this_task::stop_token();
        while (!concur::this_task::stop_requested()) std::this_thread::yield();
        return token.stop_requested();
    });
    started.wait();
    f.request_stop();
    CHECK(f.get());
}

TEST_CASE_TEMPLATE("stop 53: a task that was asked to stop may end with task_cancelled", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    gate started;
    auto f = ex.submit([&] {
        started.open();
        while (!concur::this_task::stop_requested()) std::this_thread::yield();
        throw concur::task_cancelled();
    });
    started.wait();
    f.request_stop();
    CHECK_THROWS_AS(f.get(), concur::task_cancelled);
}

TEST_CASE_TEMPLATE("stop: request_stop() on a task that has not started cancels it", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    std::atomic<bool> ran = false;
    {
        blocker hold(ex);
        auto f = ex.submit([&] { ran = true; });
        f.request_stop();
        CHECK(f.cancelled());
        CHECK_THROWS_AS(f.get(), concur::task_cancelled);
    }
    ex.wait_idle();
    CHECK_FALSE(ran);
}

TEST_CASE_TEMPLATE("stop: a request reaches its own task only", E, CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    gate started;
    auto first = ex.submit([&] {
        started.open();
        while (!concur::this_task::stop_requested()) std::this_thread::yield();
    });
    auto second = ex.submit([] { return concur::this_task::stop_requested(); });
    started.wait();
    first.request_stop();
    first.get();
    CHECK(second.get() == false);
    CHECK(ex.submit([](std::stop_token t) { return t.stop_requested(); }).get() == false);
}

TEST_CASE_TEMPLATE("stop: a task inside a task has a token of its own", E, CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    gate started;
    gate door;
    auto outer = ex.submit([&] {
        started.open();
        door.wait();
        const bool inner = ex.submit([] { return concur::this_task::stop_requested(); }).get();
        return std::pair(concur::this_task::stop_requested(), inner);
    });
    started.wait();
    outer.request_stop();
    door.open();
    CHECK(outer.get() == std::pair(true, false));
}

TEST_CASE_TEMPLATE("stop: map items have a token, too", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    const auto results =
        ex.map([](int x) { return concur::this_task::stop_requested() ? -1 : x; }, numbers(20))
            .collect();
    CHECK(results == numbers(20));
    const auto with_token =
        ex.map([](std::stop_token token, int x) { return token.stop_requested() ? -1 : x; },
               numbers(20))
            .collect();
    CHECK(with_token == numbers(20));
}

TEST_CASE("stop: outside of any task nothing is requested") {
    CHECK_FALSE(concur::this_task::stop_requested());
    CHECK_FALSE(concur::this_task::stop_token().stop_requested());
}

// SPDX-License-Identifier: BSL-1.0
// Promises about time limits of waits and of tasks.
#include "all_executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/error.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <future>
#include <limits>
#include <thread>

using namespace conformance;
using std::chrono::steady_clock;

namespace {

void spin_until_stopped() {
    while (!concur::this_task::stop_requested()) std::this_thread::yield();
}

}  // namespace

TEST_CASE_TEMPLATE("timeout 124: a get() that runs out throws, and the future stays valid", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    gate door;
    const opens_at_exit at_exit(door);
    auto f = ex.submit([&] { return door.wait(), 9; });
    for (const auto limit : {30ms, 1ms}) {
        const auto start = steady_clock::now();
        CHECK_THROWS_AS(f.get(limit), concur::timeout_error);
        CHECK(steady_clock::now() - start >= limit);
        CHECK(f.valid());
    }
    door.open();
    CHECK(f.get(std::chrono::hours(1)) == 9);
    CHECK_FALSE(f.valid());
}

TEST_CASE("timeout 124: zero and negative limits poll") {
    const watchdog guard;
    concur::promise<int> promise;
    auto f = promise.get_future();
    CHECK_THROWS_AS(f.get(0ms), concur::timeout_error);
    CHECK_THROWS_AS(f.get(-5s), concur::timeout_error);
    CHECK_THROWS_AS(f.get(concur::duration::min()), concur::timeout_error);
    CHECK(f.wait_for(0ms) == std::future_status::timeout);
    CHECK(f.wait_for(-1h) == std::future_status::timeout);
    CHECK(f.wait_until(steady_clock::now() - 1h) == std::future_status::timeout);
    CHECK(f.wait_until(steady_clock::time_point::min()) == std::future_status::timeout);
    promise.set_value(3);
    CHECK(f.wait_for(0ms) == std::future_status::ready);
    CHECK(f.wait_for(-1h) == std::future_status::ready);
    CHECK(f.wait_until(steady_clock::now() - 1h) == std::future_status::ready);
    CHECK(f.get(-1s) == 3);
}

TEST_CASE("timeout 124: huge limits do not overflow") {
    const watchdog guard;
    const auto huge_waits = [](const auto& wait) {
        concur::promise<int> promise;
        auto f = promise.get_future();
        std::jthread setter([&] { promise.set_value(1); });
        wait(f);
    };
    huge_waits([](auto& f) { CHECK(f.get(concur::duration::max()) == 1); });
    huge_waits(
        [](auto& f) { CHECK(f.wait_for(concur::duration::max()) == std::future_status::ready); });
    huge_waits(
        [](auto& f) { CHECK(f.wait_for(std::chrono::hours::max()) == std::future_status::ready); });
    huge_waits([](auto& f) {
        CHECK(f.wait_for(std::chrono::duration<double>(1e300)) == std::future_status::ready);
    });
    huge_waits([](auto& f) {
        CHECK(f.wait_until(steady_clock::time_point::max()) == std::future_status::ready);
    });
    huge_waits([](auto& f) {
        CHECK(f.wait_until(std::chrono::system_clock::now() + 24h) == std::future_status::ready);
    });
}

TEST_CASE("timeout 124: wait_for() takes any representation") {
    const watchdog guard;
    concur::promise<void> promise;
    const auto f = promise.get_future();
    CHECK(f.wait_for(std::chrono::duration<double, std::milli>(0.5)) ==
          std::future_status::timeout);
    CHECK(f.wait_for(std::chrono::duration<short, std::milli>(1)) == std::future_status::timeout);
}

TEST_CASE_TEMPLATE("timeout 128: at the limit the stop token fires and the future fails", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::parallel);
    const watchdog guard;
    auto ex = E::make(1);
    gate door;
    const opens_at_exit at_exit(door);
    std::atomic<bool> asked = false;
    std::atomic<bool> returned = false;
    const auto start = steady_clock::now();
    auto f = ex.submit({.timeout = 100ms}, [&] {
        spin_until_stopped();
        asked = true;
        door.wait();
        returned = true;
        return 1;
    });
    CHECK_THROWS_AS(f.get(), concur::timeout_error);
    CHECK(steady_clock::now() - start >= 100ms);
    CHECK(steady_clock::now() - start < 30s);
    CHECK_FALSE(returned);
    eventually([&] { return asked.load(); });
    // The worker stays busy until the task returns.
    auto next = ex.submit([] { return 2; });
    CHECK_FALSE(next.done());
    CHECK(ex.stats().running == 1);
    door.open();
    CHECK(next.get() == 2);
    CHECK(returned);
}

TEST_CASE_TEMPLATE("timeout 128: the limit counts from the start of the task, not from submit", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::parallel);
    const watchdog guard;
    auto ex = E::make(1);
    concur::future<int> f;
    {
        blocker hold(ex);
        f = ex.submit({.timeout = 500ms}, [] { return 3; });
        // The test is about this time that passes in the queue.
        CHECK(f.wait_for(700ms) == std::future_status::timeout);
    }
    CHECK(f.get() == 3);
}

TEST_CASE_TEMPLATE("timeout 128: a task that ends in time is not touched by its limit", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    int wrong = 0;
    for (int i = 0; i != 200; ++i)
        wrong += ex.submit({.timeout = std::chrono::hours(10)}, [i] { return i; }).get() != i;
    CHECK(wrong == 0);
    CHECK(ex.submit({.timeout = concur::duration::max()}, [] { return 1; }).get() == 1);
}

TEST_CASE_TEMPLATE("timeout 128: many tasks with limits, some of which run out", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::parallel);
    const watchdog guard;
    auto ex = E::make(4);
    std::vector<concur::future<int>> futures;
    for (int i = 0; i != 20; ++i) {
        const bool too_long = i % 4 == 0;
        const concur::duration limit = too_long ? 30ms : std::chrono::hours(1);
        futures.push_back(ex.submit({.timeout = limit}, [i, too_long] {
            if (too_long) spin_until_stopped();
            return i;
        }));
    }
    for (int i = 0; i != 20; ++i) {
        const auto outcome = futures[static_cast<std::size_t>(i)].get_outcome();
        CHECK(outcome.has_value() == (i % 4 != 0));
        if (!outcome.has_value()) CHECK(holds<concur::timeout_error>(outcome.error()));
    }
    ex.wait_idle();
    const auto stats = ex.stats();
    CHECK(stats.failed == 5);
    CHECK(stats.completed == 15);
}

TEST_CASE("timeout: the destructor of a pool waits for a task whose time has run out") {
    const watchdog guard;
    std::atomic<bool> returned = false;
    {
        concur::thread_pool pool(1);
        auto f = pool.submit({.timeout = 10ms}, [&] {
            spin_until_stopped();
            returned = true;
        });
        CHECK_THROWS_AS(f.get(), concur::timeout_error);
    }
    CHECK(returned);
}

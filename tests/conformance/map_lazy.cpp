// SPDX-License-Identifier: BSL-1.0
// Promises of map about time and memory: windows, endless input, leaving early, deadlines.
#include "all_executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/error.hpp>

#include <doctest/doctest.h>

#include <ranges>
#include <vector>

using namespace conformance;

TEST_CASE_TEMPLATE("map 23: an unread map runs at most `window` items", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    for (const int chunk : {0, 1, 3, 50}) {
        CAPTURE(chunk);
        std::atomic<int> started = 0;
        const auto f = [&](int x) { return ++started, x; };
        {
            [[maybe_unused]] auto result =
                ex.map({.chunk_size = chunk, .window = 4}, f, numbers(100));
            ex.wait_idle();
            CHECK(started <= 4);
            if constexpr (E::asynchronous) CHECK(started > 0);  // it starts at once
        }
        ex.wait_idle();
        CHECK(started <= 4);
    }
}

TEST_CASE_TEMPLATE("map 23: for_each and collect() run everything", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    std::atomic<int> ran = 0;
    const auto f = [&](int x) { return ++ran, x; };
    ex.for_each({.window = 4}, f, numbers(100));
    CHECK(ran == 100);
    CHECK(ex.map({.window = 4}, f, numbers(100)).collect() == numbers(100));
    CHECK(ran == 200);
}

TEST_CASE_TEMPLATE("map 30: at most `window` items are in flight or finished but unread", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(3);
    for (const int window : {1, 2, 5}) {
        for (const int chunk : {0, 1, 2, 7}) {
            CAPTURE(window);
            CAPTURE(chunk);
            std::atomic<int> started = 0;
            int delivered = 0;
            int most = 0;
            const auto f = [&](int x) { return ++started, x; };
            for (const int x : ex.map({.chunk_size = chunk, .window = window}, f, numbers(200))) {
                most = std::max(most, started - delivered);
                REQUIRE(x == delivered);
                ++delivered;
            }
            // The one being read was taken out of the window already, or it was not.
            CHECK(most <= window + 1);
            CHECK(delivered == 200);
        }
    }
}

TEST_CASE_TEMPLATE("map 29: an endless range needs no option and no end", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    long long sum = 0;
    int count = 0;
    for (const long long x : ex.map([](long long i) { return 2 * i; }, std::views::iota(0LL))) {
        sum += x;
        if (++count == 10'000) break;
    }
    CHECK(sum == 9'999LL * 10'000);
    CHECK(ex.submit([] { return 1; }).get() == 1);
}

TEST_CASE_TEMPLATE("map 29: an endless map that nobody reads comes to rest", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    std::atomic<int> started = 0;
    [[maybe_unused]] auto result = ex.map([&](int i) { return ++started, i; }, std::views::iota(0));
    ex.wait_idle();
    const int at_rest = started;
    CHECK(at_rest < 1'000'000);
    CHECK(*result.begin() == 0);
}

TEST_CASE_TEMPLATE("map 26: leaving early waits for what runs and cancels the rest", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(3);
    for (const int chunk : {0, 1, 4}) {
        CAPTURE(chunk);
        crowd inside;
        std::atomic<int> started = 0;
        for (const int x : ex.map(
                 {.chunk_size = chunk, .window = 64},
                 [&](int i) {
                     inside.enter();
                     ++started;
                     inside.leave();
                     return i;
                 },
                 std::views::iota(0)))
            if (x == 20) break;
        const int after = started;
        CHECK(inside.inside() == 0);
        ex.wait_idle();
        CHECK(started == after);
        CHECK(ex.submit([] { return 1; }).get() == 1);
    }
}

TEST_CASE_TEMPLATE("map 26: a dropped map asks its running items to stop, and waits for them", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::parallel);
    const watchdog guard("items that wait for a stop request");
    auto ex = E::make(2);
    std::latch both(2);
    std::atomic<int> returned = 0;
    {
        [[maybe_unused]] auto result = ex.map(
            {.chunk_size = 1, .window = 10},
            [&](int) {
                both.count_down();
                while (!concur::this_task::stop_requested()) std::this_thread::yield();
                ++returned;
            },
            numbers(2));
        both.wait();
    }
    CHECK(returned == 2);
}

TEST_CASE_TEMPLATE("map 26: an exception of the reader leaves nothing running", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    crowd inside;
    try {
        for (const int x :
             ex.map([&](int i) { return inside.enter(), inside.leave(), i; }, std::views::iota(0)))
            if (x == 5) throw custom_error(5);
        FAIL("the loop ended");
    } catch (const custom_error&) {
        CHECK(inside.inside() == 0);
    }
    CHECK(ex.submit([] { return 1; }).get() == 1);
}

TEST_CASE_TEMPLATE("map 26: a failure cancels what has not started", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    std::atomic<int> started = 0;
    const auto read = drain<int>(ex.map(
        [&](int i) {
            if (++started; i == 10) throw custom_error(10);
            return i;
        },
        std::views::iota(0)));
    CHECK(read.values == numbers(10));
    CHECK(holds<custom_error>(read.error));
    const int after = started;
    ex.wait_idle();
    CHECK(started == after);
}

TEST_CASE_TEMPLATE("map 25: a deadline counts from the call, and what was finished is delivered", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::parallel);
    const watchdog guard;
    auto ex = E::make(2);
    const auto start = std::chrono::steady_clock::now();
    std::atomic<bool> asked = false;
    const auto read = drain<int>(ex.map(
        {.chunk_size = 1, .window = 4, .deadline = 1s},
        [&](int i) {
            if (i < 2) return i;
            while (!concur::this_task::stop_requested()) std::this_thread::yield();
            asked = true;
            return i;
        },
        std::views::iota(0)));
    const auto took = std::chrono::steady_clock::now() - start;
    CHECK(read.values == std::vector{0, 1});
    CHECK(holds<concur::timeout_error>(read.error));
    CHECK(read.at_end);
    CHECK(took >= 1s);
    CHECK(took < 30s);
    CHECK(asked);
    CHECK(ex.submit([] { return 1; }).get() == 1);
}

TEST_CASE_TEMPLATE("map 25: a deadline holds for collect() and for_each, too", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::parallel);
    const watchdog guard;
    auto ex = E::make(2);
    const auto until_asked = [](int i) {
        while (!concur::this_task::stop_requested()) std::this_thread::yield();
        return i;
    };
    CHECK_THROWS_AS(ex.map({.deadline = 50ms}, until_asked, numbers(5)).collect(),
                    concur::timeout_error);
    CHECK_THROWS_AS(ex.for_each({.deadline = 50ms}, until_asked, numbers(5)),
                    concur::timeout_error);
}

TEST_CASE_TEMPLATE("map 25: a deadline that is not reached changes nothing", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    const auto same = [](int x) { return x; };
    CHECK(ex.map({.deadline = std::chrono::hours(24 * 365)}, same, numbers(100)).collect() ==
          numbers(100));
    CHECK(ex.map({.timeout = std::chrono::hours(24)}, same, numbers(100)).collect() ==
          numbers(100));
}

TEST_CASE_TEMPLATE("map 25: a timeout is per item, and hits only the item that exceeds it", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::parallel);
    const watchdog guard;
    auto ex = E::make(2);
    for (const int chunk : {0, 1, 5}) {
        CAPTURE(chunk);
        std::vector<int> seen;
        auto outcomes = ex.map(
                              {.chunk_size = chunk, .timeout = 500ms},
                              [](int i) {
                                  while (i == 2 && !concur::this_task::stop_requested())
                                      std::this_thread::yield();
                                  return i;
                              },
                              numbers(6))
                            .outcomes();
        for (auto&& outcome : outcomes) {
            if (outcome.has_value())
                seen.push_back(*outcome);
            else
                seen.push_back(holds<concur::timeout_error>(outcome.error()) ? -1 : -2);
        }
        CHECK(seen == std::vector{0, 1, -1, 3, 4, 5});
    }
}

// SPDX-License-Identifier: BSL-1.0
// Promises of when_all and when_any over futures.
#include "all_executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/when.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

using namespace conformance;
using concur::future;
using concur::promise;
using concur::when_all;
using concur::when_any;

TEST_CASE_TEMPLATE("when_all: gives the values in argument order", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    std::vector<future<int>> futures;
    for (int i = 0; i != 10; ++i) futures.push_back(ex.submit([i] { return i * i; }));
    auto all = when_all(std::move(futures));
    static_assert(std::is_same_v<decltype(all), future<std::vector<int>>>);
    CHECK(all.get() == std::vector{0, 1, 4, 9, 16, 25, 36, 49, 64, 81});
}

TEST_CASE_TEMPLATE("when_all: a tuple of different types, void as monostate", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    auto all = when_all(ex.submit([] { return 1; }), ex.submit([] {}),
                        ex.submit([] { return std::make_unique<int>(3); }));
    static_assert(std::is_same_v<decltype(all),
                                 future<std::tuple<int, std::monostate, std::unique_ptr<int>>>>);
    const auto [one, nothing, three] = all.get();
    CHECK(one == 1);
    CHECK(*three == 3);
    static_cast<void>(nothing);
}

TEST_CASE("when_all: of void futures is a future of void") {
    const watchdog guard;
    concur::thread_pool pool(2);
    std::atomic<int> ran = 0;
    std::vector<future<void>> futures;
    for (int i = 0; i != 10; ++i) futures.push_back(pool.submit([&] { ++ran; }));
    auto all = when_all(std::move(futures));
    static_assert(std::is_same_v<decltype(all), future<void>>);
    all.get();
    CHECK(ran == 10);
}

TEST_CASE("when_all: of nothing is done at once") {
    auto values = when_all(std::vector<future<int>>());
    CHECK(values.done());
    CHECK(values.get().empty());
    auto nothing = when_all(std::vector<future<void>>());
    CHECK(nothing.done());
    nothing.get();
}

TEST_CASE("when_all 131: completes when all are done, and holds the first failure in order") {
    const watchdog guard;
    std::vector<promise<int>> promises(4);
    std::vector<future<int>> futures;
    for (auto& p : promises) futures.push_back(p.get_future());
    auto all = when_all(std::move(futures));
    promises[2].set_exception(std::make_exception_ptr(custom_error(2)));  // first in time
    CHECK_FALSE(all.done());
    promises[0].set_value(0);
    promises[1].set_exception(std::make_exception_ptr(custom_error(1)));  // first in order
    CHECK_FALSE(all.done());
    promises[3].set_value(3);
    CHECK(all.done());
    CHECK(text_thrown<custom_error>([&] { static_cast<void>(all.get()); }) == "custom 1");
}

TEST_CASE("when_all 131: a tuple, too, waits for all and holds the first failure in order") {
    const watchdog guard;
    promise<int> a;
    promise<std::string> b;
    promise<void> c;
    auto all = when_all(a.get_future(), b.get_future(), c.get_future());
    c.set_exception(std::make_exception_ptr(custom_error(3)));
    a.set_value(1);
    CHECK_FALSE(all.done());
    b.set_exception(std::make_exception_ptr(custom_error(2)));
    CHECK(all.done());
    CHECK(text_thrown<custom_error>([&] { static_cast<void>(all.get()); }) == "custom 2");
}

TEST_CASE_TEMPLATE("when_all 131: no sibling of a failure is cancelled", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(1);
    std::atomic<int> ran = 0;
    std::vector<future<int>> futures;
    futures.push_back(ex.submit([]() -> int { throw custom_error(0); }));
    for (int i = 1; i != 10; ++i) futures.push_back(ex.submit([&] { return ++ran; }));
    auto all = when_all(std::move(futures));
    all.wait();
    CHECK(ran == 9);
    CHECK_THROWS_AS(static_cast<void>(all.get()), custom_error);
}

TEST_CASE("when_all: a cancelled member is a failure, and the other values are freed") {
    const watchdog guard;
    tally results;
    {
        promise<probe> a;
        promise<probe> b;
        std::vector<future<probe>> futures;
        futures.push_back(a.get_future());
        futures.push_back(b.get_future());
        REQUIRE(futures[1].cancel());
        auto all = when_all(std::move(futures));
        CHECK_FALSE(all.done());
        a.set_value(probe(results));
        CHECK(all.done());
        CHECK(holds<concur::task_cancelled>(all.exception()));
    }
    CHECK(results.alive == 0);
    CHECK(results.copies == 0);
}

TEST_CASE_TEMPLATE("when_all: its future is an argument like any other", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(1);
    std::vector<future<int>> parts;
    for (int i = 0; i != 5; ++i) parts.push_back(ex.submit([i] { return i; }));
    auto sum = ex.submit(
        [](const std::vector<int>& v) {
            int total = 0;
            for (const int x : v) total += x;
            return total;
        },
        when_all(std::move(parts)));
    CHECK(sum.get() == 10);
}

TEST_CASE("when_all: dropping it does not disturb its members' tasks") {
    const watchdog guard;
    concur::thread_pool pool(1);
    std::atomic<int> ran = 0;
    {
        blocker hold(pool);
        std::vector<future<void>> futures;
        for (int i = 0; i != 10; ++i) futures.push_back(pool.submit([&] { ++ran; }));
        static_cast<void>(when_all(std::move(futures)));
    }
    pool.wait_idle();
    CHECK(ran == 10);
}

TEST_CASE("when_any: gives the position of the first that is done") {
    const watchdog guard;
    for (int ending = 0; ending != 3; ++ending) {
        std::vector<promise<int>> promises(3);
        std::vector<future<int>> futures;
        for (auto& p : promises) futures.push_back(p.get_future());
        auto any = when_any(futures);
        static_assert(std::is_same_v<decltype(any), future<std::size_t>>);
        CHECK_FALSE(any.done());
        if (ending == 0) promises[1].set_value(5);
        if (ending == 1) promises[1].set_exception(std::make_exception_ptr(custom_error(1)));
        if (ending == 2) futures[1].cancel();
        CHECK(any.get() == 1);
        CHECK(futures[1].valid());
        if (ending == 0) CHECK(futures[1].get() == 5);
        promises[0].set_value(1);  // nobody waits for these any more
        promises[2].set_value(2);
    }
}

TEST_CASE("when_any: done ones win at once, consumed ones are skipped") {
    const watchdog guard;
    std::vector<promise<int>> promises(3);
    std::vector<future<int>> futures;
    for (auto& p : promises) futures.push_back(p.get_future());
    promises[0].set_value(0);
    promises[2].set_value(2);
    CHECK(futures[0].get() == 0);
    auto any = when_any(futures);
    CHECK(any.done());
    CHECK(any.get() == 2);
}

TEST_CASE("when_any: of nothing valid throws std::invalid_argument") {
    std::vector<future<int>> none;
    CHECK_THROWS_AS(static_cast<void>(when_any(none)), std::invalid_argument);
    std::vector<future<int>> empty(2);
    CHECK_THROWS_AS(static_cast<void>(when_any(empty)), std::invalid_argument);
}

TEST_CASE("when_any: takes a projection") {
    const watchdog guard;
    struct job {
        int number;
        future<int> result;
    };
    std::vector<promise<int>> promises(2);
    std::vector<job> jobs;
    for (int i = 0; i != 2; ++i)
        jobs.push_back({i, promises[static_cast<std::size_t>(i)].get_future()});
    promises[1].set_value(9);
    const auto first = when_any(jobs, &job::result).get();
    CHECK(first == 1);
    CHECK(jobs[first].number == 1);
}

TEST_CASE_TEMPLATE("when_any: a waiting thread hears of it", E, CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::parallel);
    const watchdog guard;
    auto ex = E::make(2);
    gate door;
    const opens_at_exit at_exit(door);
    std::vector<future<int>> futures;
    futures.push_back(ex.submit([&] { return door.wait(), 0; }));
    futures.push_back(ex.submit([] { return 1; }));
    CHECK(when_any(futures).get() == 1);
}

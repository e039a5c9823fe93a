// SPDX-License-Identifier: BSL-1.0
// Promises of map_unordered and for_each.
#include "all_executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <ranges>
#include <set>
#include <utility>
#include <vector>

using namespace conformance;

using numbered = std::pair<std::size_t, int>;

TEST_CASE_TEMPLATE("map_unordered 33: gives every result once, with its position", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(3);
    for (const int chunk : {0, 1, 4, 1000}) {
        CAPTURE(chunk);
        [[maybe_unused]] auto result =
            ex.map_unordered({.chunk_size = chunk}, [](int x) { return -x; }, numbers(60));
        using result_type = decltype(result);
        static_assert(std::ranges::input_range<result_type>);
        static_assert(std::is_same_v<std::ranges::range_value_t<result_type>, numbered>);
        auto seen = drain<numbered>(result).values;
        std::sort(seen.begin(), seen.end());
        REQUIRE(seen.size() == 60);
        int wrong = 0;
        for (std::size_t i = 0; i != 60; ++i) wrong += seen[i] != numbered(i, -static_cast<int>(i));
        CHECK(wrong == 0);
    }
}

TEST_CASE_TEMPLATE("map_unordered 33: a slow item does not hold up the others", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::parallel);
    const watchdog guard("nine quick items that pass a slow one");
    auto ex = E::make(2);
    gate others_arrived;
    const opens_at_exit at_exit(others_arrived);
    std::vector<std::size_t> order;
    for (auto&& [position, value] : ex.map_unordered(
             {.chunk_size = 1, .window = 10},
             [&](int x) {
                 if (x == 1) others_arrived.wait();
                 return x;
             },
             numbers(10))) {
        CHECK(static_cast<int>(position) == value);
        order.push_back(position);
        if (order.size() == 9) others_arrived.open();
    }
    REQUIRE(order.size() == 10);
    CHECK(order.back() == 1);
}

TEST_CASE_TEMPLATE("map_unordered 33: zips, windows and endless input work as in map", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    const std::vector<int> tens{10, 20, 30};
    std::set<int> sums;
    for (auto&& entry : ex.map_unordered(std::plus<>(), tens, std::views::iota(1)))
        sums.insert(entry.second);
    CHECK(sums == std::set{11, 22, 33});

    std::atomic<int> started = 0;
    {
        [[maybe_unused]] auto result = ex.map_unordered(
            {.window = 4}, [&](int x) { return ++started, x; }, std::views::iota(0));
        ex.wait_idle();
        CHECK(started <= 4);
    }
    int count = 0;
    for ([[maybe_unused]] auto&& entry :
         ex.map_unordered([](int x) { return x; }, std::views::iota(0)))
        if (++count == 1000) break;
    CHECK(ex.submit([] { return 1; }).get() == 1);
}

TEST_CASE_TEMPLATE("map_unordered 33: a failure ends the range, and leaving early waits", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    crowd inside;
    const auto read = drain<numbered>(ex.map_unordered(
        [&](int x) {
            inside.enter();
            inside.leave();
            if (x == 5) throw custom_error(5);
            return x;
        },
        std::views::iota(0)));
    CHECK(text_of(read.error) == "custom 5");
    CHECK(read.at_end);
    CHECK(inside.inside() == 0);
    ex.wait_idle();
}

TEST_CASE_TEMPLATE("for_each: visits every element once, whatever the chunk size", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(3);
    for (const int chunk : {0, 1, 7, 5000}) {
        CAPTURE(chunk);
        std::vector<int> visits(1000);
        ex.for_each({.chunk_size = chunk}, [](int& count) { ++count; }, visits);
        CHECK(visits == std::vector<int>(1000, 1));
    }
}

TEST_CASE_TEMPLATE("for_each: zips, and what f returns is ignored", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    std::vector<int> target(5);
    ex.for_each([](int& to, int from) { return to = from; }, target, numbers(100));
    CHECK(target == numbers(5));
}

TEST_CASE_TEMPLATE("for_each: rethrows the first failure in input order", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    gate later_failed;
    const auto f = [&](int x) {
        if (x == 2) {
            if constexpr (E::parallel) later_failed.wait();
            throw custom_error(2);
        }
        if (x == 3) {
            later_failed.open();
            throw custom_error(3);
        }
    };
    CHECK(text_thrown<custom_error>([&] { ex.for_each({.chunk_size = 1}, f, numbers(4)); }) ==
          "custom 2");
    CHECK(ex.submit([] { return 1; }).get() == 1);
}

TEST_CASE_TEMPLATE("for_each: returns when nothing of it runs any more", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(3);
    for (int round = 0; round != 50; ++round) {
        crowd inside;
        const auto f = [&](int x) {
            inside.enter();
            inside.leave();
            if (x == 17) throw custom_error(17);
        };
        CHECK_THROWS_AS(ex.for_each({.chunk_size = 2}, f, numbers(100)), custom_error);
        REQUIRE(inside.inside() == 0);
    }
}

TEST_CASE("for_each: completes on a pool whose workers are all busy, or waits for them") {
    const watchdog guard;
    concur::thread_pool pool(2);
    std::atomic<int> sum = 0;
    gate door;
    const opens_at_exit at_exit(door);
    auto busy = pool.submit([&] { door.wait(); });
    pool.for_each([&](int x) { sum += x; }, numbers(100));
    CHECK(sum == 4950);
    door.open();
    busy.get();
}

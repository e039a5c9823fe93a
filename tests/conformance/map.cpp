// SPDX-License-Identifier: BSL-1.0
// Promises of map: order, chunks and windows, and what happens to failures.
#include "all_executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/executor.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <variant>
#include <vector>

using namespace conformance;

namespace {

int square(int x) { return x * x; }

std::vector<int> squares(int n) {
    std::vector<int> result;
    for (int i = 0; i != n; ++i) result.push_back(i * i);
    return result;
}

/// Squares, but refuses 3 and 13.
int square_but_3(int x) {
    if (x % 10 == 3) throw std::runtime_error("no " + std::to_string(x));
    return x * x;
}

}  // namespace

TEST_CASE_TEMPLATE("map 22: results come in input order, whatever the chunk size", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    constexpr int n = 100;
    auto ex = E::make(3);
    for (const int chunk : {0, 1, 6, n, n + 1, 1'000'000}) {
        CAPTURE(chunk);
        CHECK(ex.map({.chunk_size = chunk}, square, numbers(n)).collect() == squares(n));
        const auto read = drain<int>(ex.map({.chunk_size = chunk}, square, numbers(n)));
        CHECK(read.values == squares(n));
        CHECK(read.error == nullptr);
    }
}

TEST_CASE_TEMPLATE("map 22: a negative chunk size or window is refused", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(1);
    const auto data = numbers(5);
    CHECK_THROWS_AS(static_cast<void>(ex.map({.chunk_size = -1}, square, data)),
                    std::invalid_argument);
    CHECK_THROWS_AS(static_cast<void>(ex.map({.window = -5}, square, data)), std::invalid_argument);
    CHECK_THROWS_AS(static_cast<void>(ex.map({.retries = -1}, square, data)),
                    std::invalid_argument);
    CHECK_THROWS_AS(ex.for_each({.chunk_size = -1}, square, data), std::invalid_argument);
}

TEST_CASE_TEMPLATE("map 30: every chunk size and window gives the same list", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    const auto expected = squares(40);
    const auto data = numbers(40);
    for (const int chunk : {1, 2, 9, 10, 11}) {
        for (const int window : {1, 2, 9, 10, 11}) {
            CAPTURE(chunk);
            CAPTURE(window);
            const concur::map_options options{.chunk_size = chunk, .window = window};
            CHECK(ex.map(options, square, data).collect() == expected);
            CHECK(drain<int>(ex.map(options, square, data)).values == expected);
        }
    }
}

TEST_CASE_TEMPLATE("map: the result is a move-only input_range of R", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(1);
    const auto data = numbers(4);
    auto result = ex.map(square, data);
    using result_type = decltype(result);
    static_assert(std::ranges::input_range<result_type>);
    static_assert(std::is_same_v<std::ranges::range_value_t<result_type>, int>);
    static_assert(!std::is_copy_constructible_v<result_type>);
    static_assert(std::is_move_constructible_v<result_type>);
    auto moved = std::move(result);
    auto it = moved.begin();
    CHECK(*it == 0);
    ++it;
    CHECK(*it == 1);
    CHECK(*it == 1);  // reading twice changes nothing
    ++it;
    ++it;
    CHECK(*it == 9);
    ++it;
    CHECK(it == moved.end());
}

TEST_CASE_TEMPLATE("map: several ranges are zipped, up to the shortest", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    const std::vector<int> a{1, 2, 3, 4, 5};
    const std::vector<int> b{10, 20, 30};
    const std::vector<std::string> c{"x", "y", "z", "w"};
    CHECK(ex.map(std::plus<>(), a, b).collect() == std::vector{11, 22, 33});
    CHECK(ex.map(std::plus<>(), b, a).collect() == std::vector{11, 22, 33});
    const auto text = [](int x, int y, const std::string& z) { return std::to_string(x + y) + z; };
    CHECK(ex.map({.chunk_size = 2}, text, a, b, c).collect() ==
          std::vector<std::string>{"11x", "22y", "33z"});
    CHECK(ex.map(std::plus<>(), a, std::vector<int>()).collect().empty());
}

TEST_CASE_TEMPLATE("map 27: nothing in, nothing out", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    const std::vector<int> nothing;
    auto result = ex.map(square, nothing);
    CHECK(result.begin() == result.end());
    CHECK(ex.map(square, nothing).collect().empty());
    ex.for_each(square, nothing);
    CHECK(drain<std::pair<std::size_t, int>>(ex.map_unordered(square, nothing)).values.empty());
    CHECK(ex.stats().pending == 0);
}

TEST_CASE_TEMPLATE("map: move-only and non-default-constructible results pass", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    struct no_default {
        explicit no_default(int x) : value(x) {}
        int value;
    };
    auto ex = E::make(2);
    const auto boxes =
        ex.map([](int x) { return std::make_unique<int>(x); }, numbers(20)).collect();
    for (int i = 0; i != 20; ++i) CHECK(*boxes[static_cast<std::size_t>(i)] == i);
    int expected = 0;
    for (auto&& value : ex.map([](int x) { return no_default(x); }, numbers(20)))
        CHECK(value.value == expected++);
    CHECK(expected == 20);
}

TEST_CASE_TEMPLATE("map: bool results are one object each", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(3);
    const auto odd =
        ex.map({.chunk_size = 1}, [](int x) { return x % 2 == 1; }, numbers(500)).collect();
    static_assert(std::is_same_v<decltype(odd), const std::vector<bool>>);
    int wrong = 0;
    for (std::size_t i = 0; i != 500; ++i) wrong += odd[i] != (i % 2 == 1);
    CHECK(wrong == 0);
}

TEST_CASE_TEMPLATE("map: a void f gives monostates, and collect() gives nothing", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    std::atomic<int> sum = 0;
    const auto add = [&](int x) { sum += x; };
    const auto data = numbers(10);
    static_assert(std::is_void_v<decltype(ex.map(add, data).collect())>);
    ex.map(add, data).collect();
    CHECK(sum == 45);
    const auto read = drain<std::monostate>(ex.map(add, data));
    CHECK(read.values.size() == 10);
    CHECK(sum == 90);
}

TEST_CASE_TEMPLATE("map 24: what comes before a failure is delivered, also within its chunk", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    for (const int chunk : {0, 1, 2, 4, 100}) {
        CAPTURE(chunk);
        const auto read = drain<int>(ex.map({.chunk_size = chunk}, square_but_3, numbers(40)));
        CHECK(read.values == std::vector{0, 1, 4});
        CHECK(text_of(read.error) == "no 3");
        CHECK(read.at_end);
    }
    CHECK(ex.map(square, numbers(3)).collect() == squares(3));
}

TEST_CASE_TEMPLATE("map 24: collect() throws the first failure in input order", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    gate later_failed;
    const auto f = [&](int x) {
        if (x == 1) {
            if constexpr (E::parallel) later_failed.wait();
            throw custom_error(1);
        }
        if (x == 3) {
            later_failed.open();
            throw custom_error(3);
        }
        return x;
    };
    CHECK(text_thrown<custom_error>([&] {
              ex.map({.chunk_size = 1, .window = 8}, f, numbers(8)).collect();
          }) == "custom 1");
}

TEST_CASE_TEMPLATE("map: outcomes() delivers failures in place, and goes on", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    for (const int chunk : {0, 1, 3, 100}) {
        CAPTURE(chunk);
        std::vector<std::string> seen;
        auto outcomes = ex.map({.chunk_size = chunk}, square_but_3, numbers(15)).outcomes();
        for (auto&& outcome : outcomes) {
            static_assert(
                std::is_same_v<std::remove_cvref_t<decltype(outcome)>, concur::outcome<int>>);
            seen.push_back(outcome ? std::to_string(outcome.value()) : outcome.what());
        }
        CHECK(seen == std::vector<std::string>{"0", "1", "4", "no 3", "16", "25", "36", "49", "64",
                                               "81", "100", "121", "144", "no 13", "196"});
    }
}

TEST_CASE_TEMPLATE("map: outcomes() of a void f are outcome<void>", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    int good = 0;
    int bad = 0;
    auto outcomes =
        ex.map([](int x) { static_cast<void>(square_but_3(x)); }, numbers(20)).outcomes();
    for (auto&& outcome : outcomes) {
        static_assert(
            std::is_same_v<std::remove_cvref_t<decltype(outcome)>, concur::outcome<void>>);
        ++(outcome.has_value() ? good : bad);
    }
    CHECK(good == 18);
    CHECK(bad == 2);
}

TEST_CASE_TEMPLATE("map: the temporary in a range-for lives as long as the loop", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    int sum = 0;
    for (const int x : ex.map(square, numbers(10))) sum += x;
    CHECK(sum == 285);
    int failures = 0;
    for (auto&& outcome : ex.map(square_but_3, numbers(10)).outcomes())
        failures += !outcome.has_value();
    CHECK(failures == 1);
}

TEST_CASE_TEMPLATE("map: two maps on one executor do not mix", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    const auto data = numbers(50);
    auto a = ex.map({.window = 3}, square, data);
    auto b = ex.map({.chunk_size = 2}, std::negate<>(), data);
    auto in_b = b.begin();
    int i = 0;
    for (const int x : a) {
        REQUIRE(x == i * i);
        REQUIRE(*in_b == -i);
        ++in_b;
        ++i;
    }
    CHECK(i == 50);
    CHECK(in_b == b.end());
}

TEST_CASE_TEMPLATE("map 32: no result is kept after it was read", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    constexpr int window = 8;
    auto ex = E::make(2);
    tally results;
    int most = 0;
    int count = 0;
    for (auto&& value : ex.map(
             {.window = window}, [&](int x) { return probe(results, x); },
             std::views::iota(0, 5000))) {
        if (value.value() == count) ++count;
        most = std::max(most, results.alive.load());
    }
    CHECK(count == 5000);
    CHECK(results.copies == 0);
    CHECK(most <= 4 * window);  // the window, the one being read, and temporaries
    CHECK(results.alive == 0);
}

TEST_CASE_TEMPLATE("map 31: a half read map after shutdown() delivers or throws, and ends", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    auto result = ex.map({.chunk_size = 1, .window = 2}, square, numbers(100));
    auto it = result.begin();
    CHECK(*it == 0);
    ex.shutdown();
    int delivered = 1;
    bool refused = false;
    try {
        for (++it; it != result.end(); ++it, ++delivered) REQUIRE(*it == delivered * delivered);
    } catch (const concur::executor_shut_down&) {
        refused = true;
    }
    CHECK((refused || delivered == 100));
}

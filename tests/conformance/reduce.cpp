// SPDX-License-Identifier: BSL-1.0
// Promises of reduce and map_reduce: the order of operands, and equal bits everywhere.
#include "all_executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <list>
#include <memory>
#include <numeric>
#include <ranges>
#include <string>
#include <vector>

using namespace conformance;

namespace {

std::vector<double> awkward_numbers(int n) {
    std::vector<double> result;
    for (int i = 0; i != n; ++i)
        result.push_back(std::sin(static_cast<double>(i)) * std::pow(10.0, i % 17 - 8));
    return result;
}

bool same_bits(double a, double b) { return std::memcmp(&a, &b, sizeof a) == 0; }

double cube(double x) { return x * x * x; }

std::unique_ptr<int> boxed(int x) { return std::make_unique<int>(x); }

std::unique_ptr<int> boxed_sum(std::unique_ptr<int> a, std::unique_ptr<int> b) {
    return std::make_unique<int>(*a + *b);
}

}  // namespace

TEST_CASE_TEMPLATE("reduce: adds up, from init on", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(3);
    for (const int chunk : {0, 1, 6, 1000}) {
        CAPTURE(chunk);
        CHECK(ex.reduce({.chunk_size = chunk}, std::plus<>(), numbers(101), 1000) == 6050);
        CHECK(ex.map_reduce(
                  {.chunk_size = chunk}, [](int x) { return 2 * x; }, std::plus<>(), numbers(101),
                  1000) == 11100);
    }
}

TEST_CASE_TEMPLATE("reduce: no element gives init, one element gives op(init, element)", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    const auto op = [](std::string a, std::string b) { return "(" + a + b + ")"; };
    const auto text = [](int x) { return std::to_string(x); };
    CHECK(ex.reduce(op, std::vector<std::string>(), std::string("init")) == "init");
    CHECK(ex.map_reduce(text, op, std::vector<int>(), std::string("init")) == "init");
    CHECK(ex.reduce(op, std::vector<std::string>{"x"}, std::string("init")) == "(initx)");
    CHECK(ex.map_reduce(text, op, std::vector{7}, std::string("init")) == "(init7)");
}

TEST_CASE_TEMPLATE("reduce: operands stay in input order, with init leftmost", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(3);
    std::vector<std::string> letters;
    for (int i = 0; i != 300; ++i) letters.emplace_back(1, static_cast<char>('a' + i % 26));
    const auto expected = std::accumulate(letters.begin(), letters.end(), std::string("init:"));
    for (const int chunk : {0, 1, 2, 7, 64, 1000}) {
        CAPTURE(chunk);
        CHECK(ex.reduce({.chunk_size = chunk}, std::plus<>(), letters, std::string("init:")) ==
              expected);
        const auto joined = ex.map_reduce(
            {.chunk_size = chunk}, [](int x) { return std::to_string(x) + " "; }, std::plus<>(),
            numbers(200), std::string());
        std::string numbers_in_order;
        for (int i = 0; i != 200; ++i) numbers_in_order += std::to_string(i) + " ";
        CHECK(joined == numbers_in_order);
    }
}

TEST_CASE_TEMPLATE("reduce: the bits are equal on every executor, worker count and chunk size", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    for (const int n : {2, 3, 5, 100, 1000, 4097}) {
        const auto data = awkward_numbers(n);
        concur::serial_executor reference;
        const double sum = reference.reduce(std::plus<>(), data, 0.1);
        const double cubes = reference.map_reduce(cube, std::plus<>(), data, 0.1);
        for (const unsigned workers : {1U, 2U, 5U}) {
            auto ex = E::make(workers);
            for (const int chunk : {0, 1, 3, 64, 10'000}) {
                CAPTURE(n);
                CAPTURE(workers);
                CAPTURE(chunk);
                const concur::map_options options{.chunk_size = chunk};
                CHECK(same_bits(ex.reduce(options, std::plus<>(), data, 0.1), sum));
                CHECK(same_bits(ex.map_reduce(options, cube, std::plus<>(), data, 0.1), cubes));
            }
        }
    }
}

TEST_CASE_TEMPLATE("reduce: the tree depends on the length only, so not on the kind of range", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    const auto data = awkward_numbers(777);
    const std::list<double> list(data.begin(), data.end());
    CHECK(same_bits(ex.reduce(std::plus<>(), data, 0.0), ex.reduce(std::plus<>(), list, 0.0)));
    const auto again = [](double x) { return x; };
    CHECK(same_bits(ex.reduce(std::plus<>(), data, 0.0),
                    ex.map_reduce(again, std::plus<>(), data, 0.0)));
}

TEST_CASE_TEMPLATE("reduce: move-only values pass", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    for (const int chunk : {0, 1, 10}) {
        const auto sum =
            ex.map_reduce({.chunk_size = chunk}, boxed, boxed_sum, numbers(50), boxed(5));
        REQUIRE(sum != nullptr);
        CHECK(*sum == 1230);
    }
}

TEST_CASE_TEMPLATE("reduce: T needs no default constructor", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    struct total {
        explicit total(long value_) : value(value_) {}
        long value;
    };
    auto ex = E::make(2);
    const auto sum = ex.map_reduce([](int x) { return total(x); },
                                   [](total a, total b) { return total(a.value + b.value); },
                                   numbers(1000), total(1));
    CHECK(sum.value == 499'501);
}

TEST_CASE_TEMPLATE("reduce: the first failure in input order is rethrown, of f or of op", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    const auto bad_f = [](int x) {
        if (x == 50) throw std::runtime_error("f");
        return x;
    };
    const auto bad_op = [](int, int) -> int { throw std::runtime_error("op"); };
    CHECK(text_thrown<std::runtime_error>([&] {
              static_cast<void>(ex.map_reduce(bad_f, std::plus<>(), numbers(100), 0));
          }) == "f");
    CHECK(text_thrown<std::runtime_error>(
              [&] { static_cast<void>(ex.reduce(bad_op, numbers(100), 0)); }) == "op");
    CHECK(ex.reduce(std::plus<>(), numbers(5), 0) == 10);
}

TEST_CASE_TEMPLATE("reduce: large and lazy ranges", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    const auto max = [](long a, long b) { return a > b ? a : b; };
    CHECK(ex.reduce(std::plus<>(), std::views::iota(0L, 200'000L), 0L) == 19'999'900'000L);
    CHECK(ex.reduce(max, std::views::iota(0L, 1000L), -1L) == 999);
}

// SPDX-License-Identifier: BSL-1.0
// partial, unpack and retry, without any executor.
#include <concur/callable.hpp>

#include <doctest/doctest.h>

#include <array>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

using concur::partial;
using concur::retry;
using concur::unpack;

namespace {

int subtract(int a, int b) { return a - b; }

struct point {
    int x;
    int plus(int dx) const { return x + dx; }
};

}  // namespace

TEST_CASE("partial: binds the leading arguments") {
    CHECK(partial(subtract, 10)(3) == 7);
    CHECK(partial(subtract, 10, 4)() == 6);
    CHECK(partial(subtract)(5, 2) == 3);
    const auto from_ten = partial(subtract, 10);
    CHECK(from_ten(1) == 9);
    CHECK(from_ten(2) == 8);
    CHECK(partial(partial(subtract, 7), 3)() == 4);
}

TEST_CASE("partial: takes lambdas, member functions and data members") {
    const auto join = partial([](const std::string& a, char b) { return a + b; }, "ab");
    CHECK(join('c') == "abc");
    CHECK(partial(&point::plus, point{.x = 1})(2) == 3);
    const point p{.x = 5};
    CHECK(partial(&point::plus, &p)(2) == 7);
    CHECK(partial(&point::x)(p) == 5);
}

TEST_CASE("partial: copies what it binds, and shares with std::ref") {
    int x = 1;
    const auto copied = partial([](const int& value) { return value; }, x);
    const auto shared = partial([](const int& value) { return value; }, std::cref(x));
    x = 2;
    CHECK(copied() == 1);
    CHECK(shared() == 2);
    auto increments = partial([](int& value) { return ++value; }, std::ref(x));
    CHECK(increments() == 3);
    CHECK(x == 3);
}

TEST_CASE("partial: holds move-only values, and hands them over when it is an rvalue") {
    auto peek = partial([](const std::unique_ptr<int>& p) { return *p; }, std::make_unique<int>(4));
    CHECK(peek() == 4);
    CHECK(peek() == 4);
    auto take = partial([](std::unique_ptr<int> p) { return *p; }, std::make_unique<int>(5));
    CHECK(std::move(take)() == 5);
}

TEST_CASE("partial: passes the other arguments on as they are") {
    const auto f = partial([](int a, std::unique_ptr<int> p) { return a + *p; }, 1);
    CHECK(f(std::make_unique<int>(2)) == 3);
    int x = 0;
    partial([](int value, int& to) { to = value; }, 9)(x);
    CHECK(x == 9);
}

TEST_CASE("partial: can be asked whether it can be called") {
    const auto f = partial(subtract, 1);
    static_assert(std::is_invocable_r_v<int, decltype(f), int>);
    static_assert(!std::is_invocable_v<decltype(f), std::string>);
    static_assert(!std::is_invocable_v<decltype(f), int, int>);
    static_assert(std::is_copy_constructible_v<decltype(f)>);
    CHECK(f(1) == 0);
}

TEST_CASE("unpack: calls f with the elements of a tuple, pair or array") {
    const auto f = unpack(subtract);
    CHECK(f(std::tuple(5, 3)) == 2);
    CHECK(f(std::pair(5, 4)) == 1);
    CHECK(f(std::array{9, 1}) == 8);
    const std::tuple<int, int> kept(7, 3);
    CHECK(f(kept) == 4);
    CHECK(unpack([] { return 6; })(std::tuple<>()) == 6);
}

TEST_CASE("unpack: moves out of an rvalue tuple, and reaches into an lvalue one") {
    const auto take = unpack([](std::unique_ptr<int> p, int x) { return *p + x; });
    CHECK(take(std::tuple(std::make_unique<int>(1), 2)) == 3);
    const auto change = unpack([](int& a, int b) { a = b; });
    std::pair<int, int> pair(1, 2);
    change(pair);
    CHECK(pair.first == 2);
}

TEST_CASE("unpack: after partial, as in map(unpack(partial(f, a)), pairs)") {
    const auto f = unpack(partial([](int a, int b, int c) { return 100 * a + 10 * b + c; }, 1));
    CHECK(f(std::pair(2, 3)) == 123);
}

TEST_CASE("unpack: can be asked whether it can be called") {
    const auto f = unpack(subtract);
    static_assert(std::is_invocable_v<decltype(f), std::tuple<int, int>>);
    static_assert(!std::is_invocable_v<decltype(f), std::tuple<int>>);
    static_assert(!std::is_invocable_v<decltype(f), std::tuple<int, std::string>>);
    CHECK(f(std::tuple(1, 1)) == 0);
}

TEST_CASE("retry: tries n times in all") {
    int calls = 0;
    const auto third_time = [&] {
        if (++calls < 3) throw std::runtime_error("attempt " + std::to_string(calls));
        return 42;
    };
    CHECK(retry(3, third_time)() == 42);
    CHECK(calls == 3);
    calls = 0;
    CHECK(retry(10, third_time)() == 42);
    CHECK(calls == 3);
    calls = 0;
    CHECK_THROWS_WITH_AS(retry(2, third_time)(), "attempt 2", std::runtime_error);
    CHECK(calls == 2);
    calls = 0;
    CHECK_THROWS_WITH_AS(retry(1, third_time)(), "attempt 1", std::runtime_error);
    CHECK(calls == 1);
}

TEST_CASE("retry: gives every attempt the same arguments") {
    int calls = 0;
    const auto f = retry(3, [&](std::string text) {
        CHECK(text == "argument");
        text = "changed";
        if (++calls < 3) throw 1;
        return text;
    });
    CHECK(f("argument") == "changed");
    CHECK(f(std::string("argument")) == "changed");
    CHECK(calls == 4);
}

TEST_CASE("retry: fewer than one attempt is std::invalid_argument") {
    CHECK_THROWS_AS(static_cast<void>(retry(0, subtract)), std::invalid_argument);
    CHECK_THROWS_AS(static_cast<void>(retry(-1, subtract)), std::invalid_argument);
}

TEST_CASE("retry: combines with partial and unpack") {
    int calls = 0;
    const auto flaky = [&](int a, int b) {
        if (++calls % 2 == 1) throw std::runtime_error("odd");
        return a - b;
    };
    CHECK(retry(2, partial(flaky, 10))(1) == 9);
    CHECK(unpack(retry(2, flaky))(std::pair(8, 2)) == 6);
    CHECK(partial(retry(2, flaky), 7)(3) == 4);
}

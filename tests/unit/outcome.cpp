// SPDX-License-Identifier: BSL-1.0
// outcome<T>: a value or an exception.
#include <concur/outcome.hpp>

#include <doctest/doctest.h>

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

using concur::outcome;

namespace {

std::exception_ptr out_of_range(const char* text) {
    return std::make_exception_ptr(std::out_of_range(text));
}

struct no_default {
    explicit no_default(int value_) : value(value_) {}
    int value;
};

}  // namespace

static_assert(noexcept(std::declval<const outcome<int>&>().has_value()));
static_assert(noexcept(std::declval<const outcome<int>&>().error()));
static_assert(!std::is_convertible_v<outcome<int>, bool>, "operator bool is explicit");
static_assert(std::is_copy_constructible_v<outcome<std::string>>);
static_assert(std::is_move_constructible_v<outcome<std::unique_ptr<int>>>);

TEST_CASE("outcome: with a value") {
    outcome<int> o = 3;
    CHECK(o.has_value());
    CHECK(static_cast<bool>(o));
    CHECK(o.value() == 3);
    CHECK(*o == 3);
    CHECK(o.value_or(4) == 3);
    CHECK(o.error() == nullptr);
    CHECK(o.what().empty());
    o.value() = 5;
    CHECK(*o == 5);
}

TEST_CASE("outcome: with an exception, value() and * rethrow it") {
    const auto error = out_of_range("far");
    outcome<int> o = error;
    CHECK_FALSE(o.has_value());
    CHECK_FALSE(static_cast<bool>(o));
    CHECK_THROWS_AS(static_cast<void>(o.value()), std::out_of_range);
    CHECK_THROWS_AS(static_cast<void>(*o), std::out_of_range);
    CHECK(o.value_or(4) == 4);
    CHECK(o.error() == error);
    CHECK(o.what() == "far");
}

TEST_CASE("outcome: may be const") {
    const outcome<std::string> good = std::string("text");
    CHECK(good.value() == "text");
    CHECK(*good == "text");
    CHECK(good.value_or("other") == "text");
    const outcome<std::string> bad = out_of_range("far");
    CHECK(bad.value_or("other") == "other");
    CHECK_THROWS_AS(static_cast<void>(bad.value()), std::out_of_range);
}

TEST_CASE("outcome: of a move-only type") {
    outcome<std::unique_ptr<int>> o = std::make_unique<int>(7);
    CHECK(**o == 7);
    const auto taken = std::move(o).value();
    CHECK(*taken == 7);
    outcome<std::unique_ptr<int>> failed = out_of_range("far");
    CHECK(std::move(failed).value_or(nullptr) == nullptr);
}

TEST_CASE("outcome: of a type without a default constructor") {
    outcome<no_default> o = no_default(8);
    CHECK(o.value().value == 8);
    CHECK(o.value_or(no_default(9)).value == 8);
}

TEST_CASE("outcome: of void") {
    const outcome<void> good;
    CHECK(good.has_value());
    CHECK_NOTHROW(good.value());
    CHECK(good.error() == nullptr);
    CHECK(good.what().empty());
    const outcome<void> bad = out_of_range("far");
    CHECK_FALSE(bad.has_value());
    CHECK_THROWS_AS(bad.value(), std::out_of_range);
    CHECK(bad.what() == "far");
}

TEST_CASE("outcome: what() of something that is no std::exception is not empty") {
    const outcome<int> number = std::make_exception_ptr(42);
    CHECK_FALSE(number.what().empty());
    CHECK_THROWS_AS(static_cast<void>(number.value()), int);
}

TEST_CASE("outcome: copies keep what they were copied from") {
    const outcome<int> original = out_of_range("far");
    const auto copy = original;
    CHECK(copy.error() == original.error());
    outcome<int> assigned = 1;
    assigned = copy;
    CHECK_FALSE(assigned.has_value());
    assigned = outcome<int>(2);
    CHECK(*assigned == 2);
}

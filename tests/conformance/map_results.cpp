// SPDX-License-Identifier: BSL-1.0
// Promises of map about the types of its results: what submit can return, map can deliver.
#include "executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <doctest/doctest.h>

#include <utility>
#include <vector>

using namespace conformance;

namespace {

/// Can be moved, but neither assigned nor default-constructed: lambdas with captures are like this.
struct sealed {
    explicit sealed(int value_) : value(value_) {}
    sealed(sealed&&) = default;
    sealed& operator=(sealed&&) = delete;
    const int value;
};

}  // namespace

TEST_CASE_TEMPLATE("map results: need not be assignable", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    int expected = 0;
    for (auto&& x : ex.map([](int i) { return sealed(i); }, numbers(20)))
        CHECK(x.value == expected++);
    CHECK(expected == 20);
    const auto all = ex.map([](int i) { return sealed(i); }, numbers(20)).collect();
    CHECK(all.back().value == 19);
}

TEST_CASE_TEMPLATE("map results: as outcomes, and unordered", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    const auto f = [](int i) {
        if (i == 3) throw custom_error(3);
        return sealed(i);
    };
    int sum = 0;
    auto outcomes = ex.map(f, numbers(10)).outcomes();
    for (auto&& outcome : outcomes) sum += outcome.has_value() ? outcome.value().value : 100;
    CHECK(sum == 45 - 3 + 100);
    int count = 0;
    for (auto&& entry : ex.map_unordered([](int i) { return sealed(i); }, numbers(10)))
        count += entry.second.value == static_cast<int>(entry.first);
    CHECK(count == 10);
}

TEST_CASE_TEMPLATE("map results: may be lambdas", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    int sum = 0;
    for (auto&& f : ex.map([](int i) { return [i] { return i; }; }, numbers(10))) sum += f();
    CHECK(sum == 45);
}

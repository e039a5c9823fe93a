// SPDX-License-Identifier: BSL-1.0
// Promises of concur::retry on executors.
#include "executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/callable.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <vector>

using namespace conformance;

TEST_CASE_TEMPLATE("retry 148: f is tried until it gives a value, and callbacks run once", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(1);
    std::atomic<int> attempts = 0;
    std::atomic<int> callbacks = 0;
    gate called;
    auto f = ex.submit(concur::retry(3, [&] {
        if (++attempts < 3) throw custom_error(attempts);
        return 42;
    }));
    f.add_done_callback([&] {
        ++callbacks;
        called.open();
    });
    CHECK(f.get() == 42);
    CHECK(attempts == 3);
    called.wait();
    ex.shutdown();
    CHECK(callbacks == 1);
}

TEST_CASE_TEMPLATE("retry 148: the last error counts when no attempt is left", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(1);
    std::atomic<int> attempts = 0;
    auto f = ex.submit(concur::retry(2, [&] {
        if (++attempts < 3) throw custom_error(attempts);
        return 42;
    }));
    CHECK(text_thrown<custom_error>([&] { f.get(); }) == "custom 2");
    CHECK(attempts == 2);
    CHECK(ex.stats().failed == 1);
    CHECK(ex.stats().submitted == 1);
}

TEST_CASE_TEMPLATE("retry: passes arguments to every attempt, in map, too", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    std::vector<std::atomic<int>> attempts(20);
    const auto f = concur::retry(3, [&](int x) {
        if (++attempts[static_cast<std::size_t>(x)] <= x % 3) throw custom_error(x);
        return 2 * x;
    });
    const auto results = ex.map(f, numbers(20)).collect();
    for (std::size_t i = 0; i != 20; ++i) {
        CHECK(results[i] == 2 * static_cast<int>(i));
        CHECK(attempts[i] == static_cast<int>(i) % 3 + 1);
    }
}

TEST_CASE_TEMPLATE("retry: the `retries` option does not retry exceptions", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(1);
    std::atomic<int> attempts = 0;
    auto f = ex.submit({.retries = 5}, [&] {
        ++attempts;
        throw custom_error(1);
    });
    CHECK_THROWS_AS(f.get(), custom_error);
    CHECK(attempts == 1);
}

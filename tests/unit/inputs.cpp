// SPDX-License-Identifier: BSL-1.0
// States that wait for states: wide, deep, failing and cancelled.
#include "../conformance/tools.hpp"
#include "../conformance/watchdog.hpp"
#include "load.hpp"

#include <concur/detail/task/input_walk.hpp>
#include <concur/thread_pool.hpp>
#include <concur/when.hpp>

#include <doctest/doctest.h>

#include <set>
#include <stdexcept>
#include <vector>

using conformance::watchdog;

TEST_CASE("inputs: a fan-in of 100,000 tasks") {
    const watchdog guard;
    const auto n = static_cast<int>(unit::load(100'000));
    concur::thread_pool pool(2);
    std::vector<concur::future<int>> inputs;
    for (int i = 0; i != n; ++i) inputs.push_back(pool.submit([i] { return i; }));
    auto all = concur::when_all(std::move(inputs));
    auto sum = pool.submit(
        [](const std::vector<int>& values) {
            long long s = 0;
            for (const int v : values) s += v;
            return s;
        },
        std::move(all));
    CHECK(sum.get() == static_cast<long long>(n) * (n - 1) / 2);
}

TEST_CASE("inputs: one input for 100,000 tasks") {
    const watchdog guard;
    const auto n = unit::load(100'000);
    concur::thread_pool pool(2);
    concur::promise<int> p;
    const auto input = p.get_future().share();
    std::vector<concur::future<int>> tasks;
    for (std::size_t i = 0; i != n; ++i)
        tasks.push_back(pool.submit([](int x) { return x; }, input));
    CHECK(pool.stats().completed == 0);
    p.set_value(3);
    std::size_t sum = 0;
    for (auto& t : tasks) sum += static_cast<std::size_t>(t.get());
    CHECK(sum == 3 * n);
}

TEST_CASE("inputs: cancelled while it waits, and its input comes later") {
    const watchdog guard;
    concur::thread_pool pool(1);
    concur::promise<int> p;
    bool ran = false;
    auto task = pool.submit([&](int) { ran = true; }, p.get_future());
    CHECK(task.cancel());
    CHECK(task.cancelled());
    pool.wait_idle();  // it is over, though its input is not
    p.set_value(1);
    pool.submit([] {}).get();
    CHECK_FALSE(ran);
    CHECK(pool.stats().cancelled == 1);
}

TEST_CASE("inputs: an executor may be gone when the input of a cancelled task comes") {
    const watchdog guard;
    concur::promise<int> p;
    concur::future<int> task;
    {
        concur::thread_pool pool(1);
        task = pool.submit([](int x) { return x; }, p.get_future());
        pool.shutdown({.wait = true, .cancel_pending = true});
    }
    CHECK(task.cancelled());
    p.set_value(1);
    CHECK(task.cancelled());
}

TEST_CASE("inputs: a failed input fails the task, which does not run") {
    const watchdog guard;
    concur::thread_pool pool(1);
    concur::promise<int> p;
    bool ran = false;
    auto task = pool.submit([&](int) { ran = true; }, p.get_future());
    p.set_exception(std::make_exception_ptr(std::out_of_range("no")));
    CHECK_THROWS_AS(task.get(), std::out_of_range);
    CHECK_FALSE(ran);
    CHECK(pool.stats().failed == 1);
}

TEST_CASE("inputs: a chain of 1,000,000 whose first input fails, is cancelled or comes") {
    const watchdog guard("the end of a chain", std::chrono::seconds(100));
    const auto n = unit::load(1'000'000);
    for (const int how : {0, 1, 2}) {
        CAPTURE(how);
        concur::thread_pool pool(1);
        concur::promise<std::size_t> p;
        auto end = p.get_future();
        for (std::size_t i = 0; i != n; ++i) {
            end = pool.submit([](std::size_t x) { return x + 1; }, std::move(end));
        }
        if (how == 0) {
            p.set_exception(std::make_exception_ptr(std::out_of_range("no")));
            CHECK_THROWS_AS(end.get(), std::out_of_range);
        } else if (how == 1) {
            p.set_value(0u);
            CHECK(end.get() == n);
        } else {
            pool.shutdown({.wait = true, .cancel_pending = true});
            CHECK(end.cancelled());
            p.set_value(0u);
        }
    }
}

TEST_CASE("inputs: input_walk visits everything that a state waits for, however deep") {
    const watchdog guard;
    const auto n = unit::load(100'000);
    concur::thread_pool pool(1);
    concur::promise<int> p;
    const auto first = p.get_future().share();
    auto end = pool.submit([](int x) { return x; }, first);
    for (std::size_t i = 1; i != n; ++i) {
        end = pool.submit([](int x, int y) { return x + y; }, std::move(end), first);
    }
    using concur::detail::input_walk;
    auto& state = *concur::detail::future_access::state_in(end);
    std::set<concur::detail::state*> visited;
    {
        input_walk walk;
        walk.go(state, [&](concur::detail::state& s) {
            visited.insert(&s);
            return input_walk::verdict::go_on;
        });
    }
    CHECK(visited.size() == n + 1);
    std::size_t visits = 0;
    {
        input_walk walk;
        walk.go(state, [&](concur::detail::state&) {
            return ++visits == 5 ? input_walk::verdict::stop : input_walk::verdict::go_on;
        });
    }
    CHECK(visits == 5);
    p.set_value(1);
    CHECK(end.get() == static_cast<int>(n));
}

// SPDX-License-Identifier: BSL-1.0
// The verbs with coroutine functions: what the conformance tests do not say.
#include "../../conformance/tools.hpp"
#include "../../conformance/watchdog.hpp"

#include <concur/as_completed.hpp>
#include <concur/event_loop.hpp>
#include <concur/thread_pool.hpp>
#include <concur/when.hpp>

#include <doctest/doctest.h>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <functional>
#include <list>
#include <vector>

using namespace conformance;
using concur::event_loop;
using concur::task;

namespace {

task<int> negative_slowly(int x) {
    co_await concur::sleep_for((x % 3) * 1ms);
    co_return -x;
}
boost::asio::awaitable<int> asio_twice(int x) {
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, 1ms);
    co_await timer.async_wait(boost::asio::use_awaitable);
    co_return 2 * x;
}
task<int> fails_at(int x) {
    co_await concur::yield();
    if (x == 7) throw custom_error(x);
    co_return x;
}
task<int> hangs_at_3(int x) {
    if (x == 3) co_await concur::sleep_for(1h);
    co_return x;
}

}  // namespace

TEST_CASE("verbs: map runs many coroutines at once, in input order") {
    const watchdog guard;
    event_loop loop;
    crowd inside;
    const auto f = [&inside](int x) -> task<int> {
        inside.enter();
        co_await concur::sleep_for(20ms);
        inside.leave();
        co_return 2 * x;
    };
    std::vector<int> got;
    for (const int x : loop.map(f, numbers(100))) got.push_back(x);
    CHECK(got.size() == 100);
    CHECK(got[99] == 198);
    CHECK(inside.peak() > 50);
    CHECK(loop.map(negative_slowly, numbers(50)).collect()[49] == -49);
    CHECK(loop.map(asio_twice, numbers(10)).collect()[9] == 18);
    const std::list<int> streamed{1, 2, 3};
    CHECK(loop.map({.window = 2}, negative_slowly, streamed).collect() == std::vector{-1, -2, -3});
    loop.wait_idle();
    CHECK(loop.stats().completed == 163);
    CHECK(loop.stats().submitted == 163);
}

TEST_CASE("verbs: failures, outcomes, time limits") {
    const watchdog guard;
    event_loop loop;
    const auto d = drain<int>(loop.map(fails_at, numbers(20)));
    CHECK(d.values == numbers(7));
    CHECK(holds<custom_error>(d.error));
    CHECK(d.at_end);
    const auto all = loop.map(fails_at, numbers(20)).outcomes().collect();
    CHECK(all.size() == 20);
    CHECK_FALSE(all[7].has_value());
    const auto limited = loop.map({.timeout = 5ms}, hangs_at_3, numbers(6)).outcomes().collect();
    CHECK(limited[3].what().find("item 3") != std::string::npos);
    CHECK(limited[5].has_value());
    CHECK_THROWS_AS(loop.for_each(fails_at, numbers(20)), custom_error);
    const auto deadline = drain<int>(loop.map({.deadline = 20ms}, hangs_at_3, numbers(6)));
    CHECK(deadline.values == numbers(3));
    CHECK(holds<concur::timeout_error>(deadline.error));
}

TEST_CASE("verbs: map_unordered, for_each, map_reduce, dropping early, seeds") {
    const watchdog guard;
    event_loop loop;
    std::size_t last = 0;
    for (const auto& [i, x] : loop.map_unordered(
             [](int x) -> task<int> {
                 co_await concur::sleep_for(x == 0 ? 20ms : 1ms);
                 co_return x;
             },
             numbers(5)))
        last = i;
    CHECK(last == 0);
    int sum = 0;
    loop.for_each(
        [&sum](int x) -> task<void> {
            co_await concur::yield();
            sum += x;
        },
        numbers(10));
    CHECK(sum == 45);
    CHECK(loop.map_reduce(negative_slowly, std::plus<>(), numbers(10), 100) == 55);
    crowd inside;
    const auto for_ever = [&inside](int) -> task<int> {
        inside.enter();
        struct leaves {
            explicit leaves(crowd& c) : in(c) {}
            ~leaves() { in.leave(); }
            crowd& in;
        } const at_exit(inside);
        co_await concur::sleep_for(1h);
        co_return 1;
    };
    {
        auto dropped = loop.map(for_ever, numbers(10));
        eventually([&] { return inside.inside() == 10; });
    }
    CHECK(inside.inside() == 0);
    auto inner = loop.submit([&]() -> task<int> {
        {
            auto dropped = loop.map(for_ever, numbers(10));
            co_await concur::sleep_for(1ms);
        }
        co_return inside.inside();
    });
    CHECK(inner.get() == 0);
    const auto seed = [](int) -> task<std::uint64_t> {
        const auto before = concur::this_task::seed();
        co_await concur::sleep_for(1ms);
        co_return before == concur::this_task::seed() ? before : 0;
    };
    concur::thread_pool pool(2);
    const auto plain =
        pool.map({.seed = 3}, [](int) { return concur::this_task::seed(); }, numbers(10));
    auto expected =
        pool.map({.seed = 3}, [](int) { return concur::this_task::seed(); }, numbers(10)).collect();
    CHECK(loop.map({.seed = 3}, seed, numbers(10)).collect() == expected);
}

TEST_CASE("verbs: wait, as_completed and when_all mix futures of loop and pool") {
    const watchdog guard;
    event_loop loop;
    concur::thread_pool pool(1);
    std::vector<concur::future<int>> all;
    for (int i = 0; i != 10; ++i) {
        all.push_back(loop.submit(negative_slowly, i));
        all.push_back(pool.submit([i] { return i; }));
    }
    int sum = 0;
    for (auto& f : concur::as_completed(all)) sum += f.get();
    CHECK(sum == 0);
    CHECK(
        std::get<1>(concur::when_all(pool.submit([] { return 1; }), loop.submit(negative_slowly, 2))
                        .get()) == -2);
}

TEST_CASE("verbs: co_await next() of as_completed and of maps") {
    const watchdog guard;
    concur::thread_pool pool(2);
    event_loop loop;
    auto f = loop.submit([&]() -> task<int> {
        std::vector<concur::future<int>> all;
        for (int i = 0; i != 20; ++i) {
            all.push_back(pool.submit([i] { return i; }));
            all.push_back(loop.submit(negative_slowly, i));
        }
        int sum = 0;
        auto completed = concur::as_completed(all);
        while (auto* done = co_await completed.next()) sum += done->get() + 1;
        auto ordered = pool.map([](int x) { return x; }, numbers(1000));
        int expected = 0;
        while (auto* x = co_await ordered.next()) {
            CHECK(*x == expected);
            ++expected;
        }
        sum += expected;
        auto unordered = loop.map_unordered(negative_slowly, numbers(100));
        while (auto* entry = co_await unordered.next()) sum += entry->second;
        auto own = loop.map({.window = 5}, [](int x) { return x; }, numbers(10));
        while (auto* x = co_await own.next()) sum += *x;
        co_return sum;
    });
    CHECK(f.get() == 40 + 1000 - 4950 + 45);
}

TEST_CASE("verbs: co_await next(): a deadline, a cancel, a failure") {
    const watchdog guard;
    event_loop loop;
    concur::promise<int> never;
    std::vector<concur::future<int>> all;
    all.push_back(never.get_future());
    auto late = loop.submit([&]() -> task<void> {
        auto completed = concur::as_completed(all, 5ms);
        co_await completed.next();
    });
    CHECK_THROWS_AS(late.get(), concur::timeout_error);
    auto cancelled = loop.submit([&]() -> task<void> {
        auto completed = concur::as_completed(all);
        co_await completed.next();
    });
    eventually([&] { return cancelled.running(); });
    cancelled.request_stop();
    CHECK_THROWS_AS(cancelled.get(), concur::task_cancelled);
    auto failing = loop.submit([&]() -> task<int> {
        auto results = loop.map(fails_at, numbers(20));
        int read = 0;
        try {
            while (co_await results.next()) ++read;
        } catch (const custom_error&) {
            co_return read;
        }
        co_return -1;
    });
    CHECK(failing.get() == 7);
}

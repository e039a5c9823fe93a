// SPDX-License-Identifier: BSL-1.0
// task<T>, submit of coroutines and plain functions, sleep, yield, futures awaited.
#include "../../conformance/tools.hpp"
#include "../../conformance/watchdog.hpp"

#include <concur/event_loop.hpp>
#include <concur/thread_pool.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

using namespace conformance;
using concur::event_loop;
using concur::task;

namespace {

task<int> one() { co_return 1; }
task<int> twice(int x) {
    co_await concur::sleep_for(1ms);
    co_return 2 * x;
}
task<int> sum_of(int n) {
    int sum = 0;
    for (int i = 0; i != n; ++i) sum += co_await one();
    co_return sum;
}
task<int> depth(int n) {
    if (n == 0) co_return 0;
    const int below = co_await depth(n - 1);
    co_return below + 1;
}
task<void> fails() {
    co_await concur::yield();
    throw custom_error(7);
}
task<std::unique_ptr<int>> boxed(std::unique_ptr<int> from) {
    co_await concur::yield();
    co_return from;
}
task<void> until_cancelled(std::atomic<int>& seen) {
    try {
        co_await concur::sleep_for(1h);
    } catch (const concur::task_cancelled&) {
        ++seen;
        throw;
    }
}

struct alignas(64) wide {
    int value = 0;
};
task<wide> widened(wide w) {
    co_await concur::yield();
    ++w.value;
    co_return w;
}

}  // namespace

TEST_CASE("task: a coroutine and a plain function are submitted alike") {
    const watchdog guard;
    event_loop loop;
    CHECK(loop.submit(one).get() == 1);
    CHECK(loop.submit(twice, 4).get() == 8);
    CHECK(loop.submit([](int x) { return x + 1; }, 4).get() == 5);
    CHECK(*loop.submit(boxed, std::make_unique<int>(3)).get() == 3);
    CHECK(loop.submit(widened, wide{4}).get().value == 5);
    CHECK_THROWS_AS(loop.submit(fails).get(), custom_error);
}

TEST_CASE("task: captures and arguments live as long as the coroutine") {
    const watchdog guard;
    event_loop loop;
    tally counts;
    {
        auto f = loop.submit([p = probe(counts, 5), text = std::string(100, 'x')]() -> task<int> {
            co_await concur::sleep_for(2ms);
            co_return p.value() + static_cast<int>(text.size());
        });
        CHECK(f.get() == 105);
        CHECK(counts.copies == 0);
        CHECK(counts.alive == 0);
    }
    auto g = loop.submit(
        [](const probe& p, const std::string& s) -> task<int> {
            co_await concur::sleep_for(2ms);
            co_return p.value() + static_cast<int>(s.size());
        },
        probe(counts, 2), std::string(40, 'y'));
    CHECK(g.get() == 42);
    CHECK(counts.alive == 0);
}

TEST_CASE("task: futures as arguments of a coroutine, also by reference") {
    const watchdog guard;
    event_loop loop;
    concur::thread_pool pool(1);
    auto f = loop.submit(
        [](const std::string& a, int b) -> task<std::string> {
            co_await concur::sleep_for(1ms);
            co_return a + std::to_string(b);
        },
        pool.submit([] { return std::string(50, 'a'); }), loop.submit(twice, 3));
    CHECK(f.get() == std::string(50, 'a') + "6");
}

TEST_CASE("task 144: a million ready awaits, a deep chain") {
    const watchdog guard;
    event_loop loop;
    CHECK(loop.submit(sum_of, 1'000'000).get() == 1'000'000);
    CHECK(loop.submit(depth, 100'000).get() == 100'000);
}

TEST_CASE("task 144: never started, awaited twice") {
    const watchdog guard;
    event_loop loop;
    {
        auto unused = twice(3);
    }
    auto f = loop.submit([]() -> task<int> {
        auto t = one();
        const int first = co_await std::move(t);
        const int second = co_await std::move(t);  // NOLINT: what is tested
        co_return first + second;
    });
    CHECK_THROWS_AS(f.get(), std::future_error);
}

TEST_CASE("task 142: futures of a pool, of the same loop, shared ones") {
    const watchdog guard;
    event_loop loop;
    concur::thread_pool pool(2);
    auto f = loop.submit([&]() -> task<int> {
        auto a = pool.submit([] { return 1; });
        int sum = co_await std::move(a);
        auto b = loop.submit(twice, 5);
        sum += co_await std::move(b);
        auto c = pool.submit([] { return 100; }).share();
        sum += co_await c;
        sum += co_await c;
        auto d = pool.submit([]() -> int { throw custom_error(3); });
        try {
            co_await std::move(d);
        } catch (const custom_error& e) {
            sum += e.number * 1000;
        }
        co_return sum;
    });
    CHECK(f.get() == 3211);
}

TEST_CASE("task: a thousand sleepers sleep together, in order of their time") {
    const watchdog guard;
    event_loop loop;
    journal order;
    std::vector<concur::future<void>> all;
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i != 1000; ++i)
        all.push_back(loop.submit(
            [&order, begin](int when) -> task<void> {
                co_await concur::sleep_until(begin + std::chrono::milliseconds(200 + when));
                order.note(when);
            },
            (999 - i) % 10));
    for (auto& f : all) f.get();
    const auto seen = order.entries();
    CHECK(seen.size() == 1000);
    CHECK(std::is_sorted(seen.begin(), seen.end()));
}

TEST_CASE("cancel: request_stop reaches a suspended coroutine, from any thread") {
    const watchdog guard;
    event_loop loop;
    std::atomic<int> seen = 0;
    auto f = loop.submit(until_cancelled, std::ref(seen));
    eventually([&] { return f.running(); });
    CHECK_FALSE(f.cancel());
    f.request_stop();
    CHECK_THROWS_AS(f.get(), concur::task_cancelled);
    CHECK(seen == 1);
    loop.wait_idle();
    CHECK(loop.stats().cancelled == 1);
}

TEST_CASE("cancel: one that does not wait yet is cancelled at its next co_await") {
    const watchdog guard;
    event_loop loop;
    gate started;
    gate go_on;
    std::atomic<bool> asked = false;
    auto f = loop.submit([&]() -> task<int> {
        started.open();
        go_on.wait();
        asked = concur::this_task::stop_requested();
        co_await concur::sleep_for(1h);
        co_return 1;
    });
    started.wait();
    f.request_stop();
    go_on.open();
    CHECK(holds<concur::task_cancelled>(f.exception()));
    CHECK(f.cancelled());
    CHECK(asked);
}

TEST_CASE("cancel: it may be caught, and then it is over") {
    const watchdog guard;
    event_loop loop;
    auto f = loop.submit([]() -> task<int> {
        try {
            co_await concur::sleep_for(1h);
        } catch (const concur::task_cancelled&) {
        }
        co_await concur::sleep_for(1ms);
        co_return 5;
    });
    eventually([&] { return f.running(); });
    f.request_stop();
    CHECK(f.get() == 5);
}

TEST_CASE("cancel: a coroutine that waits for a pool lets go of it at once") {
    const watchdog guard;
    concur::thread_pool pool(1);
    gate door;
    const opens_at_exit at_exit(door);
    std::atomic<bool> stopped = false;
    {
        event_loop loop;
        gate inside;
        auto f = loop.submit([&]() -> task<int> {
            auto slow = pool.submit([&] {
                inside.open();
                door.wait();
                stopped = concur::this_task::stop_requested();
                return 1;
            });
            co_return co_await std::move(slow);
        });
        inside.wait();
        f.request_stop();
        CHECK_THROWS_AS(f.get(), concur::task_cancelled);
    }
    door.open();
    pool.wait_idle();
    CHECK(stopped);
}

TEST_CASE("task: blocking on the loop from its own thread throws would_deadlock") {
    const watchdog guard;
    event_loop loop;
    auto f = loop.submit([&]() -> task<int> {
        auto inner = loop.submit(twice, 2);
        const int value = inner.get();
        co_return value;
    });
    CHECK_THROWS_AS(f.get(), concur::would_deadlock);
    auto g = loop.submit([&] { loop.wait_idle(); });
    CHECK_THROWS_AS(g.get(), concur::would_deadlock);
    auto h = loop.submit([&] { loop.shutdown(); });
    CHECK_THROWS_AS(h.get(), concur::would_deadlock);
}

TEST_CASE("task: options: name, seed, time limit, priority") {
    const watchdog guard;
    event_loop loop;
    auto a = loop.submit({.seed = 5}, []() -> task<bool> {
        const auto before = concur::this_task::seed();
        co_await concur::sleep_for(1ms);
        co_return before == concur::this_task::seed();
    });
    CHECK(a.get());
    std::atomic<int> seen = 0;
    auto b = loop.submit({.name = "late", .timeout = 10ms}, until_cancelled, std::ref(seen));
    const auto text = text_thrown<concur::timeout_error>([&] { b.get(); });
    CHECK(text.find("'late'") != std::string::npos);
    loop.wait_idle();
    CHECK(seen == 1);
    CHECK(loop.submit({.timeout = 1h}, twice, 3).get() == 6);
}

TEST_CASE("errors: what nobody looks at is reported once") {
    const watchdog guard;
    error_log log;
    {
        event_loop loop({.on_error = std::ref(log)});
        loop.post(fails);
        {
            auto dropped = loop.submit(fails);
        }
        auto looked_at = loop.submit(fails);
        CHECK_THROWS(looked_at.get());
        loop.wait_idle();
    }
    CHECK(log.texts() == std::vector<std::string>{"custom 7", "custom 7"});
}

TEST_CASE("end: the loop waits for what sleeps, cancels what nobody can resume") {
    const watchdog guard;
    std::atomic<int> done = 0;
    {
        event_loop loop;
        loop.post([&]() -> task<void> {
            co_await concur::sleep_for(20ms);
            ++done;
        });
    }
    CHECK(done == 1);
    concur::future<void> f;
    std::atomic<int> seen = 0;
    {
        event_loop loop;
        f = loop.submit(until_cancelled, std::ref(seen));
        loop.shutdown({.cancel_pending = true});
    }
    CHECK_THROWS_AS(f.get(), concur::task_cancelled);
}

TEST_CASE("end: a loop destroyed inside its own task") {
    const watchdog guard;
    concur::future<int> f;
    {
        auto loop = std::make_unique<event_loop>();
        auto& ref = *loop;
        f = ref.submit([loop = std::move(loop)]() mutable -> task<int> {
            co_await concur::sleep_for(1ms);
            loop.reset();
            co_await concur::sleep_for(1ms);
            co_return 3;
        });
    }
    CHECK(f.get() == 3);
}

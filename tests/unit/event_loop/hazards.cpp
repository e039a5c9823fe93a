// SPDX-License-Identifier: BSL-1.0
// The forms that g++ 12 compiles right, counted: each temporary of a co_await expression is
// destroyed once. (tests/layout/coroutines.sh forbids those that it does not.) And the other
// hazards that the tests beside this one do not show.
#include "../../conformance/tools.hpp"
#include "../../conformance/watchdog.hpp"

#include <concur/event_loop.hpp>
#include <concur/thread_pool.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace conformance;
using concur::event_loop;
using concur::task;

namespace {

task<int> by_value(probe p) {
    co_await concur::yield();
    co_return p.value();
}
task<int> by_reference(const probe& p) {
    co_await concur::yield();
    co_return p.value();
}
template <class F>
task<int> calls(F f) {
    co_await concur::yield();
    co_return f();
}
template <class F>
task<int> calls_kept(F&& f) {
    co_await concur::yield();
    co_return f();
}

}  // namespace

TEST_CASE("hazard 1: safe forms destroy every temporary once") {
    const watchdog guard;
    tally counts;
    const int sum = concur::run([&]() -> task<int> {
        int all = 0;
        all += co_await by_value(probe(counts, 1));
        all += co_await by_reference(probe(counts, 2));
        const probe kept(counts, 3);
        all += co_await calls([&] { return kept.value(); });
        all += co_await calls_kept([&] { return kept.value(); });
        all += co_await calls([] { return 4; });
        all += co_await calls(
            std::bind_front([](const probe& p) { return p.value(); }, probe(counts, 5)));
        all += co_await calls_kept(
            std::bind_front([](const probe& p) { return p.value(); }, probe(counts, 6)));
        auto named = [p = probe(counts, 7)] { return p.value(); };
        all += co_await calls(std::move(named));
        co_return all;
    });
    CHECK(sum == 1 + 2 + 3 + 3 + 4 + 5 + 6 + 7);
    CHECK(counts.alive == 0);
}

TEST_CASE("hazard 2: submit takes the coroutine lambda, captures and all, for as long as it runs") {
    const watchdog guard;
    event_loop loop;
    tally counts;
    std::vector<concur::future<int>> all;
    for (int i = 0; i != 20; ++i)
        all.push_back(loop.submit([p = probe(counts, i)]() -> task<int> {
            co_await concur::sleep_for(2ms);
            co_return p.value();
        }));
    int sum = 0;
    for (auto& f : all) sum += f.get();
    CHECK(sum == 190);
    CHECK(counts.alive == 0);
}

TEST_CASE("hazard 12: a future that is done is awaited without a turn of the loop") {
    const watchdog guard;
    event_loop loop;
    concur::thread_pool pool(1);
    std::atomic<bool> others_ran = false;  // written after the coroutine has ended
    auto f = loop.submit([&]() -> task<bool> {
        auto done = pool.submit([] { return 1; });
        done.wait();
        loop.post([&] { others_ran = true; });
        const int value = co_await std::move(done);
        co_return value == 1 && !others_ran;
    });
    CHECK(f.get());
    loop.wait_idle();
    CHECK(others_ran);
}

TEST_CASE("hazard 5: a value that is there when the cancel comes counts") {
    const watchdog guard;
    event_loop loop;
    for (const bool cancel_first : {false, true}) {
        CAPTURE(cancel_first);
        concur::promise<int> brings;
        std::atomic<int> got = 0;
        gate waits;
        auto f = loop.submit([&]() -> task<void> {
            auto inner = brings.get_future();
            waits.open();
            got = co_await std::move(inner);
            co_await concur::sleep_for(1h);
        });
        waits.wait();
        // In one turn of the loop: the coroutine cannot run in between.
        loop.submit([&] {
                if (cancel_first) f.request_stop();
                brings.set_value(5);
                if (!cancel_first) f.request_stop();
            })
            .get();
        CHECK_THROWS_AS(f.get(), concur::task_cancelled);
        if (!cancel_first) CHECK(got == 5);
        CHECK((got == 5 || got == 0));
    }
}

TEST_CASE("hazard 8: what a cancelled wait leaves behind may use its arguments to its end") {
    const watchdog guard;
    tally counts;
    gate door;
    concur::thread_pool pool(1);
    const opens_at_exit at_exit(door);
    std::atomic<int> seen = 0;
    event_loop loop;
    gate inside;
    auto f = loop.submit([&]() -> task<void> {
        auto slow = pool.submit(
            [&](const probe& p) {
                inside.open();
                door.wait();
                seen = p.value();
            },
            probe(counts, 6));
        co_await std::move(slow);
    });
    inside.wait();
    f.request_stop();
    CHECK_THROWS_AS(f.get(), concur::task_cancelled);
    CHECK(counts.alive == 1);
    door.open();
    pool.wait_idle();
    CHECK(seen == 6);
    CHECK(counts.alive == 0);
}

TEST_CASE("hazard 3: a chain of a hundred thousand cancelled at its end") {
    const watchdog guard;
    event_loop loop;
    struct chain {
        static task<int> down(int n, std::atomic<bool>& at_end) {
            if (n == 0) {
                at_end = true;
                co_await concur::sleep_for(1h);
            } else {
                co_await down(n - 1, at_end);
            }
            co_return n;
        }
    };
    // Throwing through a frame costs a microsecond or two, more under sanitizers.
    std::atomic<bool> at_end = false;
    auto f = loop.submit(&chain::down, 20'000, std::ref(at_end));
    eventually([&] { return at_end.load(); });
    f.request_stop();
    CHECK_THROWS_AS(f.get(), concur::task_cancelled);
}

TEST_CASE("hazard: two loops await each other's tasks") {
    const watchdog guard;
    event_loop a;
    event_loop b;
    struct ping {
        static task<int> pong(event_loop& here, event_loop& there, int n) {
            if (n == 0) co_return 0;
            auto next = there.submit(&ping::pong, std::ref(there), std::ref(here), n - 1);
            const int below = co_await std::move(next);
            co_return below + 1;
        }
    };
    CHECK(a.submit(&ping::pong, std::ref(a), std::ref(b), 200).get() == 200);
}

TEST_CASE("hazard: callbacks and stop tokens of coroutines") {
    const watchdog guard;
    event_loop loop;
    std::atomic<int> called = 0;
    auto f = loop.submit([&](std::stop_token stop) -> task<int> {
        const std::stop_callback on_stop(stop, [&] { ++called; });
        try {
            co_await concur::sleep_for(1h);
        } catch (const concur::task_cancelled&) {
        }
        co_return stop.stop_requested() ? 1 : 0;
    });
    f.add_done_callback([&] { called += 10; });
    eventually([&] { return f.running(); });
    f.request_stop();
    CHECK(f.get() == 1);
    loop.wait_idle();
    CHECK(called == 11);
}

// SPDX-License-Identifier: BSL-1.0
// Coroutines that await tasks of worker processes: whoever reads the replies, no wake-up is lost,
// whatever ends first.
#include "../../conformance/tools.hpp"
#include "../../conformance/watchdog.hpp"

#include <concur/event_loop.hpp>
#include <concur/process_pool.hpp>
#include <concur/thread_pool.hpp>

#include <doctest/doctest.h>

#include <csignal>
#include <deque>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace conformance;
using concur::event_loop;
using concur::process_pool;
using concur::task;

namespace {

int twice(int x) { return 2 * x; }
int fails(int x) { throw std::out_of_range("no " + std::to_string(x)); }
int takes_us(int us) {
    std::this_thread::sleep_for(std::chrono::microseconds(us));
    return us;
}
int dies(int) {
    raise(SIGKILL);
    return 0;
}
int until_stopped() {
    while (!concur::this_task::stop_requested()) std::this_thread::yield();
    return 1;
}
/// Knows the thread that has decoded it.
struct decoded {
    std::vector<int> numbers;
    std::thread::id by;
    template <class A>
    void serialize(A& ar) {
        ar(numbers);
        if constexpr (A::is_loading::value) by = std::this_thread::get_id();
    }
};
decoded many(std::size_t n) { return {std::vector<int>(n, 1), {}}; }
int for_ever() {
    for (;;) std::this_thread::sleep_for(1h);
}

task<long> sum_of_awaits(process_pool& pool, int n, int us) {
    long sum = 0;
    for (int i = 0; i != n; ++i) sum += co_await pool.submit(takes_us, us == 0 ? 0 : us + i % 7);
    co_return sum;
}
long sum_expected(int n, int us) {
    long sum = 0;
    for (int i = 0; i != n; ++i) sum += us == 0 ? 0 : us + i % 7;
    return sum;
}

}  // namespace

TEST_CASE("remote 142: replies that come at once, soon, and after the loop has gone to sleep") {
    const watchdog guard;
    event_loop loop;
    process_pool pool({.workers = 2});
    for (const int us : {0, 1, 10, 25, 30, 40, 100, 2000}) {
        CAPTURE(us);
        const int n = us == 2000 ? 20 : 200;
        CHECK(loop.submit(sum_of_awaits, std::ref(pool), n, us).get() == sum_expected(n, us));
    }
}

TEST_CASE("remote 142: exceptions come as themselves, futures that are shared serve all") {
    const watchdog guard;
    event_loop loop;
    process_pool pool({.workers = 1});
    auto f = loop.submit([&]() -> task<bool> {
        try {
            co_await pool.submit(fails, 3);
        } catch (const std::out_of_range& e) {
            co_return std::string(e.what()).find("no 3") != std::string::npos;
        }
        co_return false;
    });
    CHECK(f.get());
    auto shared = pool.submit(takes_us, 500).share();
    const auto waits = [&]() -> task<int> { co_return co_await shared; };
    std::vector<concur::future<int>> all;
    for (int i = 0; i != 20; ++i) all.push_back(loop.submit(waits));
    for (auto& g : all) CHECK(g.get() == 500);
}

TEST_CASE("remote: a thousand coroutines, two loops and threads that wait on one pool") {
    const watchdog guard;
    process_pool pool({.workers = 2});
    event_loop a;
    event_loop b;
    const auto one = [&](int i) -> task<int> { co_return co_await pool.submit(twice, i); };
    std::vector<concur::future<int>> all;
    for (int i = 0; i != 1000; ++i) all.push_back((i % 2 == 0 ? a : b).submit(one, i));
    for (int i = 0; i != 200; ++i) CHECK(pool.submit(twice, i).get() == 2 * i);
    int i = 0;
    for (auto& f : all) CHECK(f.get() == 2 * i++);
}

TEST_CASE("remote: more pools than the loop reads from") {
    const watchdog guard;
    event_loop loop;
    std::deque<process_pool> pools;
    for (int i = 0; i != 6; ++i) pools.emplace_back(concur::process_pool_options{.workers = 1});
    auto f = loop.submit([&]() -> task<int> {
        std::vector<task<int>> all;
        const auto one = [&](int i) -> task<int> {
            int sum = 0;
            for (int k = 0; k != 20; ++k)
                sum += co_await pools[static_cast<std::size_t>(i)].submit(takes_us, 60 * (k % 2));
            co_return sum;
        };
        for (int i = 0; i != 6; ++i) all.push_back(one(i));
        const std::vector<int> sums = co_await concur::when_all(std::move(all));
        co_return std::accumulate(sums.begin(), sums.end(), 0);
    });
    CHECK(f.get() == 6 * 600);
}

TEST_CASE("remote: a loop that is never idle reads replies too") {
    const watchdog guard;
    event_loop loop;
    process_pool pool({.workers = 1});
    std::atomic<bool> over = false;
    auto busy = loop.submit([&]() -> task<void> {
        while (!over) co_await concur::yield();
    });
    for (const int us : {0, 500})
        CHECK(loop.submit(sum_of_awaits, std::ref(pool), 20, us).get() == sum_expected(20, us));
    over = true;
    busy.get();
}

TEST_CASE("remote: co_await next() of as_completed and of a map") {
    const watchdog guard;
    event_loop loop;
    process_pool pool({.workers = 2});
    auto f = loop.submit([&]() -> task<int> {
        int sum = 0;
        std::vector<concur::future<int>> futures;
        for (int i = 0; i != 20; ++i) futures.push_back(pool.submit(takes_us, 100 * i));
        auto completed = concur::as_completed(futures);
        while (auto* next = co_await completed.next()) sum += next->get();
        auto results = pool.map(twice, std::vector<int>(100, 1));
        while (auto* next = co_await results.next()) sum += *next;
        co_return sum;
    });
    CHECK(f.get() == 100 * 190 + 200);
}

TEST_CASE("remote: a large result is not decoded by the loop's thread") {
    const watchdog guard;
    event_loop loop;
    process_pool pool({.workers = 1});
    auto f = loop.submit([&]() -> task<bool> {
        const auto here = std::this_thread::get_id();
        const std::size_t mega = 1u << 20;
        const std::size_t ten = 10;
        bool elsewhere = true;
        for (int i = 0; i != 20; ++i) {
            const auto large = co_await pool.submit(many, mega);
            elsewhere = elsewhere && large.numbers.size() == mega && large.by != here;
            const auto small = co_await pool.submit(many, ten);
            elsewhere = elsewhere && small.numbers.size() == ten;
        }
        co_return elsewhere;
    });
    CHECK(f.get());
}

TEST_CASE("remote: what waits for a task that waits for a process") {
    const watchdog guard;
    event_loop loop;
    process_pool pool({.workers = 1});
    concur::thread_pool threads(1);
    auto f = loop.submit([&]() -> task<int> {
        auto first = pool.submit(takes_us, 300);
        auto second = threads.submit(twice, std::move(first));
        auto third = pool.submit(twice, std::move(second));
        co_return co_await std::move(third);
    });
    CHECK(f.get() == 1200);
}

TEST_CASE("remote: a worker that dies, and the pool goes on") {
    const watchdog guard;
    event_loop loop;
    process_pool pool({.workers = 1});
    CHECK(pool.submit(twice, 1).get() == 2);
    auto f = loop.submit([&]() -> task<int> {
        int lost = 0;
        for (int i = 0; i != 3; ++i) {
            try {
                co_await pool.submit(dies, 1);
            } catch (const concur::worker_lost&) {
                ++lost;
            }
            // In a handler no co_await is allowed.
            lost += 10 * co_await pool.submit(twice, 1);
        }
        co_return lost;
    });
    CHECK(f.get() == 63);
}

TEST_CASE("remote: a cancelled wait cancels or stops the task, and lets go of it at once") {
    const watchdog guard;
    event_loop loop;
    process_pool pool({.workers = 1});
    auto blocks = pool.submit(until_stopped);
    eventually([&] { return blocks.running(); });
    const auto waits = [&](bool pending) -> task<int> {
        auto inner = pending ? pool.submit(twice, 1) : pool.submit(until_stopped);
        co_return co_await std::move(inner);
    };
    auto queued = loop.submit(waits, true);
    eventually([&] { return pool.stats().submitted == 2; });
    queued.request_stop();
    CHECK_THROWS_AS(queued.get(), concur::task_cancelled);
    blocks.request_stop();
    CHECK(blocks.get() == 1);
    auto running = loop.submit(waits, false);
    eventually([&] { return pool.stats().running == 1; });
    running.request_stop();
    CHECK_THROWS_AS(running.get(), concur::task_cancelled);
    CHECK(pool.submit(twice, 4).get() == 8);
}

TEST_CASE("remote: cancels at any moment around the reply") {
    const watchdog guard;
    event_loop loop;
    process_pool pool({.workers = 1});
    int values = 0;
    for (int i = 0; i != 150; ++i) {
        const int us = i % 50;
        auto f = loop.submit(
            [&](int n) -> task<int> {
                auto inner = pool.submit(takes_us, n);
                co_return co_await std::move(inner);
            },
            us);
        const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(3 * us);
        while (std::chrono::steady_clock::now() < until) {
        }
        f.request_stop();
        try {
            values += f.get() == us ? 1 : 1000;
        } catch (const concur::task_cancelled&) {
        }
    }
    CHECK(values <= 150);
    CHECK(pool.submit(twice, 4).get() == 8);
}

TEST_CASE("remote: the pool ends first, in each of its ways") {
    const watchdog guard;
    for (const int way : {0, 1, 2, 3}) {
        CAPTURE(way);
        event_loop loop;
        std::optional<process_pool> pool(std::in_place, concur::process_pool_options{.workers = 1});
        std::vector<concur::future<int>> all;
        const auto wait_for_ever = [&]() -> task<int> {
            auto inner = pool->submit(for_ever);
            co_return co_await std::move(inner);
        };
        const auto wait = [&]() -> task<int> {
            auto inner = pool->submit(takes_us, 3000);
            co_return co_await std::move(inner);
        };
        const bool endless = way == 2;
        all.push_back(endless ? loop.submit(wait_for_ever) : loop.submit(wait));
        all.push_back(loop.submit(wait));
        eventually([&] {
            const auto s = pool->stats();
            return s.submitted == 2 && (!endless || s.running == 1);
        });
        if (way == 0) pool.reset();
        if (way == 1) pool->shutdown({.cancel_pending = true});
        if (way == 2) pool->kill_workers();
        if (way == 3) pool->shutdown({.wait = false});
        for (auto& f : all) {
            try {
                const int value = f.get();
                CHECK(value == 3000);
            } catch (const concur::task_cancelled&) {
                CHECK((way == 1 || way == 2));
            } catch (const concur::worker_lost&) {
                CHECK(way == 2);
            }
        }
    }
}

TEST_CASE("remote: the loop ends first") {
    const watchdog guard;
    process_pool pool({.workers = 1});
    {
        event_loop loop;
        auto f = loop.submit([&]() -> task<int> {
            auto inner = pool.submit(until_stopped);
            co_return co_await std::move(inner);
        });
        eventually([&] { return pool.stats().running == 1; });
        loop.shutdown({.cancel_pending = true});
        CHECK_THROWS_AS(f.get(), concur::task_cancelled);
    }
    {
        event_loop loop;  // and one that waits for its coroutines
        auto f = loop.submit(sum_of_awaits, std::ref(pool), 20, 200);
        loop.shutdown();
        CHECK(f.done());
        CHECK(f.get() == sum_expected(20, 200));
    }
    CHECK(pool.submit(twice, 4).get() == 8);
}

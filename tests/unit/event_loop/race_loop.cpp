// SPDX-License-Identifier: BSL-1.0
// Cancels, completions and submits that meet: from several threads, at any moment.
#include "../../conformance/tools.hpp"
#include "../../conformance/watchdog.hpp"

#include <concur/event_loop.hpp>
#include <concur/thread_pool.hpp>

#include <doctest/doctest.h>
#include <boost/asio/steady_timer.hpp>

#include <sstream>
#include <thread>
#include <vector>

using namespace conformance;
using concur::event_loop;
using concur::task;

namespace {

task<int> busy(event_loop& loop, concur::thread_pool& pool, int kind) {
    switch (kind % 5) {
        case 0:
            co_await concur::sleep_for(std::chrono::microseconds(50 * (kind % 7)));
            break;
        case 1: {
            auto f = pool.submit([kind] { return kind; });
            const int value = co_await std::move(f);
            co_return value;
        }
        case 2: {
            boost::asio::steady_timer timer(loop.context(),
                                            std::chrono::microseconds(50 * (kind % 7)));
            co_await timer.async_wait(boost::asio::deferred);
            break;
        }
        case 3:
            co_await concur::when_all(concur::yield(), concur::sleep_for(20us));
            break;
        default:
            co_await concur::yield();
    }
    co_return kind;
}

}  // namespace

TEST_CASE("race: request_stop against completion, from two threads") {
    concur::thread_pool pool(2);
    event_loop loop;
    const watchdog guard("futures of coroutines", 110s, [&loop] {
        std::ostringstream text;
        loop.dump_tasks(text);
        return text.str();
    });
    std::atomic<int> values = 0;
    std::atomic<int> cancelled = 0;
    const auto hammer = [&](int first) {
        for (int round = 0; round != 20; ++round) {
            std::vector<concur::future<int>> all;
            for (int i = 0; i != 50; ++i)
                all.push_back(loop.submit(busy, std::ref(loop), std::ref(pool), first + i));
            for (std::size_t i = static_cast<std::size_t>(round % 3); i < all.size(); i += 3)
                all[i].request_stop();
            for (std::size_t i = 0; i < all.size(); ++i) {
                const auto result = all[i].get_outcome();
                if (result) {
                    CHECK(*result == first + static_cast<int>(i));
                    ++values;
                } else {
                    CHECK(holds<concur::task_cancelled>(result.error()));
                    ++cancelled;
                }
            }
        }
    };
    std::thread other([&] { hammer(1000); });
    hammer(0);
    other.join();
    CHECK(values + cancelled == 2000);
    CHECK(values >= 1300);
    loop.wait_idle();
    const auto stats = loop.stats();
    CHECK(stats.submitted == stats.completed + stats.failed + stats.cancelled);
}

TEST_CASE("race: loops that end while others submit, stop and complete") {
    const watchdog guard("the end of loops", 110s);
    concur::thread_pool pool(2);
    for (int round = 0; round != 60; ++round) {
        std::vector<concur::future<int>> all;
        std::thread stopper;
        {
            event_loop loop;
            for (int i = 0; i != 20; ++i)
                all.push_back(loop.submit(busy, std::ref(loop), std::ref(pool), i + round));
            stopper = std::thread([&] {
                for (auto& f : all) f.request_stop();
            });
            if (round % 2 == 0) loop.shutdown({.cancel_pending = round % 4 == 0});
        }
        stopper.join();
        for (auto& f : all) CHECK(f.done());
    }
}

TEST_CASE("race: hazard 9: operations that another thread completes while they are begun") {
    const watchdog guard("operations", 110s);
    event_loop loop;
    concur::thread_pool pool(2);
    const auto operations = [&](int n) -> task<int> {
        int sum = 0;
        for (int i = 0; i != n; ++i) {
            auto operation = boost::asio::async_initiate<const boost::asio::deferred_t, void(int)>(
                [&pool, i](auto handler) {
                    pool.post([h = std::move(handler), i]() mutable { std::move(h)(i); });
                },
                boost::asio::deferred);
            sum += co_await std::move(operation);
        }
        co_return sum;
    };
    std::vector<concur::future<int>> all;
    for (int i = 0; i != 20; ++i) all.push_back(loop.submit(operations, 100));
    for (auto& f : all) CHECK(f.get() == 4950);
    // And cancelled meanwhile.
    for (int round = 0; round != 50; ++round) {
        all.clear();
        for (int i = 0; i != 4; ++i) all.push_back(loop.submit(operations, 20));
        for (auto& f : all) f.request_stop();
        for (auto& f : all) {
            const auto result = f.get_outcome();
            CHECK((result || holds<concur::task_cancelled>(result.error())));
        }
    }
}

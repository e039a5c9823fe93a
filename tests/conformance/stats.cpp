// SPDX-License-Identifier: BSL-1.0
// Promises of stats().
#include "all_executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/executor.hpp>

#include <doctest/doctest.h>

#include <thread>
#include <vector>

using namespace conformance;

namespace {

bool adds_up(const concur::executor_stats& s) {
    return s.submitted == s.pending + s.running + s.completed + s.failed + s.cancelled;
}

}  // namespace

TEST_CASE_TEMPLATE("stats 155: exact when idle, with failures", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    for (const unsigned workers : {1U, 3U}) {
        auto ex = E::make(workers);
        const auto fresh = ex.stats();
        CHECK(fresh.submitted == 0);
        CHECK(fresh.pending == 0);
        CHECK(fresh.running == 0);
        CHECK(fresh.workers_lost == 0);
        CHECK(fresh.workers == ex.worker_count());
        for (int i = 0; i != 100; ++i)
            static_cast<void>(ex.submit([i] {
                if (i % 4 == 0) throw std::runtime_error("every fourth");
            }));
        ex.wait_idle();
        const auto stats = ex.stats();
        CHECK(stats.submitted == 100);
        CHECK(stats.completed == 75);
        CHECK(stats.failed == 25);
        CHECK(stats.cancelled == 0);
        CHECK(stats.pending == 0);
        CHECK(stats.running == 0);
        CHECK(adds_up(stats));
    }
}

TEST_CASE_TEMPLATE("stats 155: pending, running and cancelled, while workers are held", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::parallel);
    const watchdog guard("counters to become right");
    auto ex = E::make(2);
    std::vector<concur::future<int>> futures;
    {
        blocker hold(ex);
        for (int i = 0; i != 10; ++i) futures.push_back(ex.submit([i] { return i; }));
        for (std::size_t i = 0; i != 3; ++i) REQUIRE(futures[i].cancel());
        eventually([&] {
            const auto s = ex.stats();
            return s.running == 2 && s.pending == 7 && s.cancelled == 3 && s.submitted == 12 &&
                   s.completed == 0 && s.failed == 0;
        });
    }
    ex.wait_idle();
    const auto stats = ex.stats();
    CHECK(stats.submitted == 12);
    CHECK(stats.cancelled == 3);
    CHECK(stats.completed == 9);
    CHECK(adds_up(stats));
}

TEST_CASE_TEMPLATE("stats 155: what a future has told, the counters know", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(1);
    for (int i = 1; i != 50; ++i) {
        ex.submit([] {}).get();
        ex.wait_idle();
        REQUIRE(ex.stats().completed == static_cast<std::uint64_t>(i));
    }
}

TEST_CASE_TEMPLATE("stats 155: counts survive shutdown()", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    for (int i = 0; i != 30; ++i) ex.post([] {});
    ex.shutdown();
    const auto stats = ex.stats();
    CHECK(stats.submitted == 30);
    CHECK(stats.completed == 30);
    CHECK(adds_up(stats));
}

TEST_CASE_TEMPLATE("stats 155: may be read while work goes on, from several threads", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::parallel);
    const watchdog guard;
    auto ex = E::make(2);
    std::atomic<bool> over = false;
    std::atomic<int> backwards = 0;
    {
        std::vector<std::jthread> readers;
        for (int t = 0; t != 2; ++t)
            readers.emplace_back([&] {
                std::uint64_t completed = 0;
                while (!over) {
                    const auto s = ex.stats();
                    if (s.completed < completed) ++backwards;
                    completed = s.completed;
                    std::this_thread::yield();
                }
            });
        for (int i = 0; i != 5000; ++i) static_cast<void>(ex.submit([] {}));
        ex.wait_idle();
        over = true;
    }
    CHECK(backwards == 0);
    CHECK(ex.stats().completed == 5000);
}

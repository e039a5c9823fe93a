// SPDX-License-Identifier: BSL-1.0
// Promises of futures that several threads use at once. For ThreadSanitizer above all.
#include "executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/future.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <barrier>
#include <thread>
#include <vector>

using namespace conformance;

TEST_CASE_TEMPLATE("future 6: threads that read a finished future all see the same", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    constexpr int readers = 4;
    constexpr int readings = 1000;
    auto ex = E::make(2);
    const auto good = ex.submit([] { return 42; }).share();
    const auto bad = ex.submit([]() -> int { throw custom_error(1); }).share();
    good.wait();
    bad.wait();
    std::atomic<int> wrong = 0;
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i != readers; ++i)
            threads.emplace_back([&] {
                for (int k = 0; k != readings; ++k) {
                    const bool good_is_right = good.done() && !good.running() &&
                                               !good.cancelled() && good.get() == 42 &&
                                               good.exception() == nullptr;
                    const bool bad_is_right = bad.done() && !bad.running() && !bad.cancelled() &&
                                              holds<custom_error>(bad.exception());
                    if (!good_is_right || !bad_is_right) ++wrong;
                }
            });
    }
    CHECK(wrong == 0);
}

TEST_CASE_TEMPLATE("future 6: done() once true stays true, and the value is there", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    constexpr int rounds = 2000;
    auto ex = E::make(2);
    int wrong = 0;
    for (int round = 0; round != rounds; ++round) {
        auto f = ex.submit([round] { return std::vector<int>(3, round); });
        eventually([&] { return f.done(); });
        if (!f.done() || f.running() || f.get() != std::vector<int>(3, round)) ++wrong;
    }
    CHECK(wrong == 0);
}

TEST_CASE("future 7: a callback added while the future completes runs exactly once") {
    const watchdog guard;
    constexpr int rounds = 5000;
    std::vector<std::atomic<int>> calls(rounds);
    std::vector<concur::promise<int>> promises(rounds);
    std::vector<concur::shared_future<int>> futures;
    for (auto& promise : promises) futures.push_back(promise.get_future().share());
    std::barrier both(2);
    std::thread setter([&] {
        for (auto& promise : promises) {
            both.arrive_and_wait();
            promise.set_value(1);
        }
    });
    for (std::size_t i = 0; i != rounds; ++i) {
        both.arrive_and_wait();
        futures[i].add_done_callback([&calls, i] { ++calls[i]; });
    }
    setter.join();
    int wrong = 0;
    for (auto& count : calls) wrong += count != 1;
    CHECK(wrong == 0);
}

TEST_CASE("future 1, 5: set and cancel race, and exactly one of them wins") {
    const watchdog guard;
    constexpr int rounds = 5000;
    std::vector<concur::promise<int>> promises(rounds);
    std::vector<concur::future<int>> futures;
    for (auto& promise : promises) futures.push_back(promise.get_future());
    std::barrier both(2);
    std::thread setter([&] {
        for (auto& promise : promises) {
            both.arrive_and_wait();
            promise.set_value(1);
        }
    });
    int wrong = 0;
    for (auto& f : futures) {
        both.arrive_and_wait();
        const bool won = f.cancel();
        const auto outcome = f.get_outcome();
        if (won == outcome.has_value()) ++wrong;
    }
    setter.join();
    CHECK(wrong == 0);
}

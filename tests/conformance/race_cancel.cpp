// SPDX-License-Identifier: BSL-1.0
// Promises of cancel() and submit when threads race. For ThreadSanitizer above all.
#include "../sanitizers.hpp"
#include "executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/wait.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

using namespace conformance;

constexpr int races = tests::sanitized ? 100'000 : 200'000;

TEST_CASE_TEMPLATE("cancel 50: of cancel and start exactly one happens", E, CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(2);
    std::atomic<int> ran = 0;
    int cancelled = 0;
    int wrong = 0;
    int mixed = 0;
    // In batches, because a worker that sleeps loses every race.
    constexpr int batch = 100;
    std::vector<concur::future<void>> futures;
    for (int i = 0; i != races / batch; ++i) {
        futures.clear();
        for (int k = 0; k != batch; ++k)
            futures.push_back(ex.submit([&, k] {
                // Long enough for the batch to be met half way.
                for (std::atomic<int> work = 4 * k; work > 0; --work) {
                }
                ++ran;
            }));
        // Once they run: some batches from the end, to meet the workers; some from the front.
        while (i % 4 != 0 && !futures.front().done()) {
        }
        if (i % 2 == 0) std::reverse(futures.begin(), futures.end());
        const int before = cancelled;
        for (auto& f : futures) {
            const bool won = f.cancel();
            cancelled += won;
            if (f.cancelled() != won) ++wrong;
        }
        mixed += cancelled != before && cancelled != before + batch;
    }
    ex.shutdown();
    CHECK(wrong == 0);
    CHECK(ran + cancelled == races);
    WARN(mixed > 10);  // batches in which each side won
    const auto stats = ex.stats();
    CHECK(stats.cancelled == static_cast<std::uint64_t>(cancelled));
    CHECK(stats.completed == static_cast<std::uint64_t>(ran.load()));
}

TEST_CASE_TEMPLATE("cancel 50: two threads that cancel one task agree with the worker", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    constexpr int rounds = races / 50;
    auto ex = E::make(1);
    int wrong = 0;
    std::atomic<concur::shared_future<int>*> target = nullptr;
    std::atomic<bool> over = false;
    std::atomic<int> other_won = 0;
    std::thread other([&] {
        while (!over) {
            auto* f = target.exchange(nullptr);
            if (f == nullptr) {
                std::this_thread::yield();
                continue;
            }
            other_won = f->cancel() ? 2 : 1;
        }
    });
    for (int i = 0; i != rounds; ++i) {
        auto f = ex.submit([i] { return i; }).share();
        other_won = 0;
        target = &f;
        const bool won = f.cancel();
        eventually([&] { return other_won != 0; });
        f.wait();
        // cancel() of a cancelled one is true, too: so both say the same, or the second said true
        if (won && !f.cancelled()) ++wrong;
        if (other_won == 2 && !f.cancelled()) ++wrong;
        if (!won && other_won == 1 && f.get() != i) ++wrong;
    }
    over = true;
    other.join();
    CHECK(wrong == 0);
}

TEST_CASE_TEMPLATE("submit 17: threads that submit, map and cancel on one executor all get theirs",
                   E, CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    constexpr int submitters = 10;
    constexpr int rounds = races / 10'000;
    auto ex = E::make(3);
    std::atomic<int> wrong = 0;
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t != submitters; ++t)
            threads.emplace_back([&, t] {
                for (int round = 0; round != rounds; ++round) {
                    std::vector<concur::future<int>> futures;
                    for (int i = 0; i != 20; ++i)
                        futures.push_back(ex.submit([=] { return 1000 * t + i; }));
                    std::vector<bool> cancelled;
                    for (std::size_t i = 0; i != 20; ++i)
                        cancelled.push_back(i % 2 == 1 && futures[i].cancel());
                    const auto doubled =
                        ex.map([](int x) { return 2 * x; }, std::vector{1, 2, 3}).collect();
                    if (doubled != std::vector{2, 4, 6}) ++wrong;
                    for (std::size_t i = 0; i != 20; ++i) {
                        const auto outcome = futures[i].get_outcome();
                        if (outcome.has_value() == cancelled[i]) ++wrong;
                    }
                }
            });
    }
    CHECK(wrong == 0);
}

TEST_CASE_TEMPLATE("cancel 50: request_stop races with the end of the task", E, CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    constexpr int rounds = races / 20;
    auto ex = E::make(2);
    int wrong = 0;
    for (int i = 0; i != rounds; ++i) {
        auto f = ex.submit([i](std::stop_token token) { return token.stop_requested() ? -1 : i; });
        f.request_stop();
        const auto outcome = f.get_outcome();
        if (outcome.has_value() && *outcome != i && *outcome != -1) ++wrong;
    }
    CHECK(wrong == 0);
}

TEST_CASE_TEMPLATE("cancel: shutdown with cancel_pending races with start", E, CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    for (int round = 0; round != 200; ++round) {
        std::atomic<int> ran = 0;
        std::vector<concur::future<void>> futures;
        {
            auto ex = E::make(2);
            for (int i = 0; i != 50; ++i) futures.push_back(ex.submit([&] { ++ran; }));
            ex.shutdown({.wait = true, .cancel_pending = true});
        }
        int cancelled = 0;
        int pending = 0;
        for (const auto& f : futures) {
            cancelled += f.cancelled();
            pending += !f.done();
        }
        REQUIRE(pending == 0);
        REQUIRE(ran + cancelled == 50);
    }
}

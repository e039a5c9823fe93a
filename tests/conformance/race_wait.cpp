// SPDX-License-Identifier: BSL-1.0
// Promises of waiting while futures complete. For ThreadSanitizer above all.
#include "executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/as_completed.hpp>
#include <concur/wait.hpp>
#include <concur/when.hpp>

#include <doctest/doctest.h>

#include <barrier>
#include <thread>
#include <vector>

using namespace conformance;
using concur::return_when;

TEST_CASE_TEMPLATE("wait 48: no wake-up is lost while futures complete", E, CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::parallel);
    const watchdog guard("a wait that may have missed its wake-up");
    auto ex = E::make(3);
    int wrong = 0;
    for (int round = 0; round != 300; ++round) {
        std::vector<concur::future<int>> futures;
        for (int i = 0; i != 100; ++i)
            futures.push_back(ex.submit([i]() -> int {
                if (i == 60) throw custom_error(i);
                return i;
            }));
        const auto when = round % 3 == 0   ? return_when::all_completed
                          : round % 3 == 1 ? return_when::first_completed
                                           : return_when::first_exception;
        const auto result = concur::wait(futures, when);
        if (result.done.size() + result.pending.size() != 100) ++wrong;
        if (when == return_when::all_completed && !result.pending.empty()) ++wrong;
        if (result.done.empty()) ++wrong;
        for (const auto i : result.done) wrong += !futures[i].done();
        if (when == return_when::first_exception) {
            bool failure_seen = false;
            for (const auto i : result.done) failure_seen |= i == 60;
            if (!failure_seen) ++wrong;
        }
    }
    CHECK(wrong == 0);
}

TEST_CASE_TEMPLATE("wait 48: everything that was done before the return is in done", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(2);
    int wrong = 0;
    for (int round = 0; round != 500; ++round) {
        std::vector<concur::future<int>> futures;
        for (int i = 0; i != 20; ++i) futures.push_back(ex.submit([i] { return i; }));
        std::vector<bool> before;
        for (const auto& f : futures) before.push_back(f.done());
        const auto result = concur::wait(futures, return_when::first_completed);
        for (const auto i : result.pending) wrong += before[i];
    }
    CHECK(wrong == 0);
}

TEST_CASE_TEMPLATE("as_completed 39: leaving early races with completion", E, CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::parallel);
    const watchdog guard;
    auto ex = E::make(2);
    for (int round = 0; round != 1000; ++round) {
        std::vector<concur::future<int>> futures;
        for (int i = 0; i != 10; ++i) futures.push_back(ex.submit([i] { return i; }));
        int count = 0;
        for ([[maybe_unused]] auto& f : concur::as_completed(futures))
            if (++count == round % 10) break;
    }
    CHECK(ex.submit([] { return 1; }).get() == 1);
}

TEST_CASE_TEMPLATE("as_completed 36: every future comes once while all complete", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::parallel);
    const watchdog guard;
    auto ex = E::make(3);
    int wrong = 0;
    for (int round = 0; round != 200; ++round) {
        std::vector<concur::future<int>> futures;
        for (int i = 0; i != 100; ++i) futures.push_back(ex.submit([i] { return i; }));
        int sum = 0;
        int count = 0;
        for (auto& f : concur::as_completed(futures)) {
            sum += f.get();
            ++count;
        }
        if (sum != 4950 || count != 100) ++wrong;
    }
    CHECK(wrong == 0);
}

TEST_CASE_TEMPLATE("when_all, when_any: members complete while they are being watched", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::parallel);
    const watchdog guard;
    auto ex = E::make(2);
    int wrong = 0;
    for (int round = 0; round != 2000; ++round) {
        std::vector<concur::future<int>> futures;
        for (int i = 0; i != 5; ++i) futures.push_back(ex.submit([i] { return i; }));
        const auto first = concur::when_any(futures).get();
        if (first >= 5 || !futures[first].done()) ++wrong;
        if (concur::when_all(std::move(futures)).get() != std::vector{0, 1, 2, 3, 4}) ++wrong;
    }
    CHECK(wrong == 0);
}

TEST_CASE("wait 48: two threads wait for the same futures, with time limits that run out") {
    const watchdog guard;
    concur::thread_pool pool(2);
    for (int round = 0; round != 200; ++round) {
        std::vector<concur::shared_future<int>> futures;
        for (int i = 0; i != 10; ++i) futures.push_back(pool.submit([i] { return i; }).share());
        const auto copies = futures;
        std::jthread other([&] {
            while (!concur::wait(copies, return_when::all_completed, 1us).pending.empty())
                std::this_thread::yield();
        });
        while (!concur::wait(futures, return_when::all_completed, 1us).pending.empty())
            std::this_thread::yield();
    }
}

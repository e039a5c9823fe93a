// SPDX-License-Identifier: BSL-1.0
// Promises of the initializer option.
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/error.hpp>
#include <concur/thread_pool.hpp>

#include <doctest/doctest.h>

#include <barrier>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

using namespace conformance;

namespace {

thread_local int initialised = 0;

/// The text of the broken_executor that a submit or its future throws; "" when both are well.
std::string broken_text(concur::thread_pool& pool) {
    return text_thrown<concur::broken_executor>([&] { pool.submit([] {}).get(); });
}

}  // namespace

TEST_CASE("initializer 97: runs once in every worker, before its first task, with its index") {
    const watchdog guard("a barrier of all workers");
    constexpr std::size_t workers = 4;
    std::mutex mutex;
    std::multiset<std::size_t> indices;
    concur::thread_pool pool({.workers = workers, .initializer = [&](std::size_t worker) {
                                  ++initialised;
                                  const std::lock_guard lock(mutex);
                                  indices.insert(worker);
                              }});
    std::barrier everyone(workers);
    std::vector<concur::future<int>> futures;
    for (std::size_t i = 0; i != workers; ++i)
        futures.push_back(pool.submit([&] {
            everyone.arrive_and_wait();  // so each worker has one
            return initialised;
        }));
    for (auto& f : futures) CHECK(f.get() == 1);
    for (int i = 0; i != 100; ++i) CHECK(pool.submit([] { return initialised; }).get() == 1);
    CHECK(indices == std::multiset<std::size_t>{0, 1, 2, 3});
}

TEST_CASE("initializer 97: may take no argument") {
    const watchdog guard;
    concur::thread_pool pool({.workers = 2, .initializer = [] { initialised = 7; }});
    CHECK(pool.submit([] { return initialised; }).get() == 7);
}

TEST_CASE("initializer 97: sees the index that this_worker::index() gives its tasks") {
    const watchdog guard;
    static thread_local std::size_t given = 1000;
    concur::thread_pool pool(
        {.workers = 3, .initializer = [](std::size_t worker) { given = worker; }});
    std::barrier everyone(3);
    std::vector<concur::future<bool>> futures;
    for (int i = 0; i != 3; ++i)
        futures.push_back(pool.submit([&] {
            everyone.arrive_and_wait();
            return given == concur::this_worker::index();
        }));
    for (auto& f : futures) CHECK(f.get());
}

TEST_CASE("initializer: for_each and reduce run on initialised workers only") {
    const watchdog guard;
    concur::thread_pool pool({.workers = 2, .initializer = [] { initialised = 1; }});
    std::atomic<int> elsewhere = 0;
    const auto check = [&](int x) {
        if (initialised != 1) ++elsewhere;
        return x;
    };
    const auto data = numbers(1000);
    for (int round = 0; round != 20; ++round) {
        pool.for_each({.chunk_size = 10}, check, data);
        static_cast<void>(pool.map_reduce(check, std::plus<>(), data, 0));
        static_cast<void>(pool.map(check, data).collect());
    }
    CHECK(initialised == 0);  // not in this thread
    CHECK(elsewhere == 0);
}

TEST_CASE("initializer 98: when it throws, everything pending and later is broken_executor") {
    const watchdog guard("futures of a pool whose initializer throws");
    error_log errors;
    gate door;
    concur::thread_pool pool({.workers = 2,
                              .initializer =
                                  [&] {
                                      door.wait();
                                      throw custom_error(55);
                                  },
                              .on_error = std::ref(errors)});
    std::vector<concur::future<int>> pending;
    std::atomic<bool> ran = false;
    for (int i = 0; i != 5; ++i) pending.push_back(pool.submit([&] { return ran = true, 1; }));
    door.open();
    for (auto& f : pending) {
        const auto text = text_thrown<concur::broken_executor>([&] { f.get(); });
        CAPTURE(text);
        CHECK(text.find("custom 55") != std::string::npos);
    }
    CHECK_FALSE(ran);
    const auto later = broken_text(pool);
    CAPTURE(later);
    CHECK(later.find("custom 55") != std::string::npos);
    CHECK_THROWS_AS(static_cast<void>(pool.submit([] {})), concur::broken_executor);
    CHECK_THROWS_AS(pool.post([] {}), concur::broken_executor);
    CHECK_THROWS_AS(pool.for_each([](int) {}, numbers(3)), concur::broken_executor);
}

TEST_CASE("initializer 98: one worker's failure is enough") {
    const watchdog guard;
    error_log errors;
    concur::thread_pool pool({.workers = 3,
                              .initializer =
                                  [&](std::size_t worker) {
                                      if (worker == 1) throw custom_error(1);
                                  },
                              .on_error = std::ref(errors)});
    std::string text;
    eventually([&] {
        text = broken_text(pool);
        return !text.empty();
    });
    CHECK(text.find("custom 1") != std::string::npos);
}

TEST_CASE("initializer 99: a pool with a failing initializer ends however it is ended") {
    const watchdog guard;
    const auto before = live_threads();
    for (int ending = 0; ending != 4; ++ending) {
        for (const bool used : {false, true}) {
            error_log errors;
            std::vector<concur::future<void>> futures;
            {
                concur::thread_pool pool({.workers = 2,
                                          .initializer = [] { throw custom_error(1); },
                                          .on_error = std::ref(errors)});
                for (int i = 0; used && i != 5; ++i) {
                    try {
                        futures.push_back(pool.submit([] {}));
                    } catch (const concur::broken_executor&) {
                        break;
                    }
                }
                if (ending == 1) pool.shutdown();
                if (ending == 2) pool.shutdown({.wait = false});
                if (ending == 3) pool.shutdown({.wait = false, .cancel_pending = true});
            }
            for (auto& f : futures) CHECK(f.done());
        }
    }
    eventually([&] { return none_but(before); });
}

TEST_CASE("initializer 99: wait_idle() of a broken pool returns or throws, but does not hang") {
    const watchdog guard;
    error_log errors;
    concur::thread_pool pool(
        {.workers = 1, .initializer = [] { throw custom_error(1); }, .on_error = std::ref(errors)});
    CHECK_FALSE(broken_text(pool).empty());
    try {
        pool.wait_idle();
    } catch (const concur::broken_executor&) {
    }
}

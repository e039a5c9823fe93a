// SPDX-License-Identifier: BSL-1.0
// Promises of add_done_callback.
#include "executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/future.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <latch>
#include <string>
#include <thread>
#include <vector>

using namespace conformance;

TEST_CASE("future 7: callbacks of a promise run once each, in order, whatever the ending") {
    for (int ending = 0; ending != 3; ++ending) {
        concur::promise<int> promise;
        auto f = promise.get_future();
        journal calls;
        for (int i = 0; i != 3; ++i) f.add_done_callback([&calls, i] { calls.note(i); });
        CHECK(calls.entries().empty());
        if (ending == 0) promise.set_value(1);
        if (ending == 1) promise.set_exception(std::make_exception_ptr(custom_error(1)));
        if (ending == 2) f.cancel();
        CHECK(calls.entries() == std::vector{0, 1, 2});
    }
}

TEST_CASE("future 7: a callback added after the end runs at once in the thread that adds it") {
    concur::promise<void> promise;
    auto f = promise.get_future();
    promise.set_value();
    std::thread::id caller;
    f.add_done_callback([&] { caller = std::this_thread::get_id(); });
    CHECK(caller == std::this_thread::get_id());

    caller = {};
    std::thread other([&] { f.add_done_callback([&] { caller = std::this_thread::get_id(); }); });
    const auto other_id = other.get_id();
    other.join();
    CHECK(caller == other_id);
}

TEST_CASE_TEMPLATE("future 7: callbacks of a task run once each, in order of registration", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    journal calls;
    std::latch all(9);
    {
        blocker hold(ex);
        auto good = ex.submit([] { return 1; });
        auto bad = ex.submit([] { throw custom_error(1); });
        auto dropped = ex.submit([] { return 1; });
        for (int i = 0; i != 3; ++i) {
            good.add_done_callback([&, i] { calls.note(i), all.count_down(); });
            bad.add_done_callback([&, i] { calls.note(10 + i), all.count_down(); });
            dropped.add_done_callback([&, i] { calls.note(20 + i), all.count_down(); });
        }
        CHECK(calls.entries().empty());
        REQUIRE(dropped.cancel());
        // The callbacks outlive good and bad, which are dropped here.
    }
    all.wait();
    ex.shutdown();
    const auto entries = calls.entries();
    REQUIRE(entries.size() == 9);
    std::vector<int> of_each[3];
    for (const int entry : entries) of_each[entry / 10].push_back(entry);
    CHECK(of_each[0] == std::vector{0, 1, 2});
    CHECK(of_each[1] == std::vector{10, 11, 12});
    CHECK(of_each[2] == std::vector{20, 21, 22});
}

TEST_CASE_TEMPLATE("future 7: a callback sees its future done", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    for (int round = 0; round != 100; ++round) {
        auto f = ex.submit([round] { return round; }).share();
        std::atomic<int> seen = -1;
        gate called;
        f.add_done_callback([&] {
            if (f.done()) seen = f.get();
            called.open();
        });
        called.wait();
        REQUIRE(seen == round);
    }
}

TEST_CASE_TEMPLATE("future 7: no lock is held while a callback runs", E, CONCUR_IN_PROCESS) {
    const watchdog guard("a callback that uses its own future and executor");
    auto ex = E::make(1);
    auto f = ex.submit([] { return 1; }).share();
    std::atomic<int> inner = 0;
    std::latch both(2);
    f.add_done_callback([&] {
        f.add_done_callback([&] { ++inner, both.count_down(); });
        f.cancel();
        auto another = ex.submit([] { return 2; });
        another.add_done_callback([&] { ++inner, both.count_down(); });
    });
    both.wait();
    CHECK(inner == 2);
}

TEST_CASE("future 8: a callback that throws disturbs neither the setter nor the others") {
    concur::promise<int> promise;
    auto f = promise.get_future();
    int later = 0;
    f.add_done_callback([] { throw custom_error(1); });
    f.add_done_callback([&] { ++later; });
    CHECK_NOTHROW(promise.set_value(5));
    CHECK(later == 1);
    CHECK_NOTHROW(f.add_done_callback([] { throw custom_error(2); }));
    CHECK(f.get() == 5);
}

TEST_CASE("future 8: what a callback of a task throws goes to on_error") {
    const watchdog guard;
    error_log errors;
    std::atomic<int> later = 0;
    concur::thread_pool pool({.workers = 1, .on_error = std::ref(errors)});
    {
        blocker hold(pool);
        auto f = pool.submit([] { return 5; });
        f.add_done_callback([] { throw custom_error(1); });
        f.add_done_callback([&] { ++later; });
        f.add_done_callback([] { throw 42; });
        f.add_done_callback([&] { ++later; });
        hold.release();
        CHECK(f.get() == 5);
    }
    pool.shutdown();
    CHECK(later == 2);
    CHECK(errors.texts() == std::vector<std::string>{"custom 1", ""});
}

TEST_CASE("future 8: an on_error that throws itself does not end the program") {
    const watchdog guard;
    concur::thread_pool pool(
        {.workers = 1, .on_error = [](std::exception_ptr) { throw custom_error(9); }});
    auto f = pool.submit([] { return 5; });
    f.add_done_callback([] { throw custom_error(1); });
    pool.post([] { throw custom_error(2); });
    CHECK(f.get() == 5);
    CHECK(pool.submit([] { return 6; }).get() == 6);
}

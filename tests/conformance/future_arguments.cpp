// SPDX-License-Identifier: BSL-1.0
// Promises of submit with futures as arguments: task graphs that read like plain code.
#include "all_executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/future.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <thread>

using namespace conformance;

namespace {

int add(int a, int b) { return a + b; }
int one() { return 1; }
int fail() { throw std::runtime_error("input failed"); }

}  // namespace

TEST_CASE_TEMPLATE("future arguments: the task gets the values", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(1);
    auto c = ex.submit(add, ex.submit(one), ex.submit(add, 2, 3));
    CHECK(c.get() == 6);
    CHECK(ex.submit(add, ex.submit(one), 10).get() == 11);
}

TEST_CASE_TEMPLATE("future arguments: move-only values pass, and void ones vanish", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    auto box = ex.submit([] { return std::make_unique<int>(8); });
    auto open_box = [](std::unique_ptr<int> p) { return *p; };
    CHECK(ex.submit(open_box, std::move(box)).get() == 8);

    std::atomic<bool> first_ran = false;
    auto first = ex.submit([&] { first_ran = true; });
    auto second = ex.submit([&] { return first_ran.load(); }, std::move(first));
    CHECK(second.get());
    auto third = ex.submit([](int a, int b) { return a - b; }, 5, ex.submit([] {}), 3);
    CHECK(third.get() == 2);
}

TEST_CASE_TEMPLATE("future arguments: a shared_future feeds any number of tasks", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    const auto shared = ex.submit(one).share();
    auto a = ex.submit(add, shared, 1);
    auto b = ex.submit(add, shared, shared);
    auto copy = shared;
    auto c = ex.submit(add, std::move(copy), 5);
    CHECK(a.get() == 2);
    CHECK(b.get() == 2);
    CHECK(c.get() == 6);
    CHECK(shared.get() == 1);
}

TEST_CASE_TEMPLATE("future arguments: a failed input fails the task unrun, with the same exception",
                   E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(1);
    std::atomic<bool> ran = false;
    const auto bad = ex.submit(fail).share();
    auto f = ex.submit([&](int x) { return ran = true, x; }, bad);
    auto g = ex.submit([&](int x) { return ran = true, x; }, std::move(f));
    CHECK(g.exception() == bad.exception());
    CHECK_FALSE(g.cancelled());
    CHECK(text_thrown<std::runtime_error>([&] { g.get(); }) == "input failed");
    CHECK_FALSE(ran);
}

TEST_CASE_TEMPLATE("future arguments: one failed input of several is enough", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    auto f = ex.submit(add, ex.submit(one), ex.submit(fail));
    CHECK(text_thrown<std::runtime_error>([&] { f.get(); }) == "input failed");
    CHECK(ex.submit(one).get() == 1);
}

TEST_CASE_TEMPLATE("future arguments: a cancelled input cancels the task", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(1);
    concur::promise<int> promise;
    auto input = promise.get_future();
    REQUIRE(input.cancel());
    std::atomic<bool> ran = false;
    auto f = ex.submit([&](int) { ran = true; }, std::move(input));
    f.wait();
    CHECK(f.cancelled());
    CHECK_THROWS_AS(f.get(), concur::task_cancelled);
    CHECK_FALSE(ran);
    const auto stats = ex.stats();
    CHECK(stats.cancelled == 1);
    CHECK(stats.failed == 0);
}

TEST_CASE_TEMPLATE("future arguments: an input cancelled later cancels its dependents at once", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    blocker hold(ex);
    auto input = ex.submit(one).share();
    auto f = ex.submit(add, input, 1);
    auto g = ex.submit(add, std::move(f), 1);
    REQUIRE(input.cancel());
    g.wait();  // although the only worker is busy
    CHECK(g.cancelled());
}

TEST_CASE_TEMPLATE("future arguments: no worker is held while inputs are awaited", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard("tasks that must pass those that wait for a promise");
    auto ex = E::make(1);
    concur::promise<int> promise;
    const auto input = promise.get_future().share();
    std::vector<concur::future<int>> dependents;
    for (int i = 0; i != 20; ++i) dependents.push_back(ex.submit(add, input, i));
    CHECK(ex.submit(one).get() == 1);
    CHECK_FALSE(dependents.front().done());
    CHECK_FALSE(dependents.front().running());
    eventually([&] { return ex.stats().pending == 20; });
    promise.set_value(100);
    for (int i = 0; i != 20; ++i) CHECK(dependents[static_cast<std::size_t>(i)].get() == 100 + i);
    ex.wait_idle();
    CHECK(ex.stats().pending == 0);
}

TEST_CASE_TEMPLATE("future arguments: a waiting dependent can be cancelled", E, CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    std::atomic<bool> ran = false;
    concur::promise<int> promise;
    auto f = ex.submit([&](int) { ran = true; }, promise.get_future());
    CHECK(f.cancel());
    CHECK(f.cancelled());
    promise.set_value(1);
    ex.wait_idle();
    CHECK_FALSE(ran);
}

TEST_CASE_TEMPLATE("future arguments: wait_idle() and shutdown() wait for waiting dependents", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    for (const bool by_shutdown : {false, true}) {
        concur::promise<int> promise;
        auto f = ex.submit(add, promise.get_future(), 1);
        std::jthread setter([&] { promise.set_value(1); });
        if (by_shutdown)
            ex.shutdown();
        else
            ex.wait_idle();
        CHECK(f.done());
        CHECK(f.get() == 2);
    }
}

TEST_CASE_TEMPLATE("future arguments: submit waits on serial, and hears of it from another thread",
                   E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(1);
    concur::promise<int> promise;
    std::jthread setter([&] { promise.set_value(20); });
    CHECK(ex.submit(add, promise.get_future(), 1).get() == 21);
}

TEST_CASE_TEMPLATE("future arguments: a dropped promise fails its dependents", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(1);
    concur::future<int> input;
    {
        concur::promise<int> promise;
        input = promise.get_future();
    }
    auto f = ex.submit(add, std::move(input), 1);
    CHECK(holds<std::future_error>(f.exception()));
}

TEST_CASE("future arguments: inputs may come from another executor") {
    const watchdog guard;
    concur::thread_pool a(1);
    concur::thread_pool b(1);
    concur::serial_executor c;
    auto f = a.submit(one);
    for (int i = 0; i != 50; ++i) {
        f = b.submit(add, std::move(f), 1);
        f = a.submit(add, std::move(f), 1);
        f = c.submit(add, std::move(f), 1);
    }
    CHECK(f.get() == 151);
}

TEST_CASE_TEMPLATE("future arguments: a long chain completes without deep recursion", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    concur::promise<int> promise;
    auto f = promise.get_future();
    constexpr int length = 100'000;
    for (int i = 0; i != length; ++i) f = ex.submit(add, std::move(f), 1);
    promise.set_value(0);
    CHECK(f.get() == length);
}

TEST_CASE_TEMPLATE("future arguments: a long chain fails without deep recursion", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    concur::promise<int> promise;
    auto f = promise.get_future();
    for (int i = 0; i != 100'000; ++i) f = ex.submit(add, std::move(f), 1);
    promise.set_exception(std::make_exception_ptr(custom_error(3)));
    CHECK(text_thrown<custom_error>([&] { f.get(); }) == "custom 3");
}

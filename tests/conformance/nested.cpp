// SPDX-License-Identifier: BSL-1.0
// Promises about waiting inside a task of the same executor.
#include "executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/as_completed.hpp>
#include <concur/error.hpp>
#include <concur/wait.hpp>
#include <concur/when.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

using namespace conformance;

namespace {

int depth_below(concur::executor auto& ex, int depth) {
    if (depth == 0) return 0;
    return 1 + ex.submit([&ex, depth] { return depth_below(ex, depth - 1); }).get();
}

int fibonacci(concur::executor auto& ex, int n) {
    if (n < 2) return n;
    auto left = ex.submit([&ex, n] { return fibonacci(ex, n - 1); });
    const int right = fibonacci(ex, n - 2);
    return left.get() + right;
}

}  // namespace

TEST_CASE_TEMPLATE("nested 116: tasks that wait for their own tasks end, at depth 50", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard("nested tasks on one worker");
    for (const unsigned workers : {1U, 2U}) {
        auto ex = E::make(workers);
        CHECK(ex.submit([&] { return depth_below(ex, 50); }).get() == 50);
        CHECK(fibonacci(ex, 15) == 610);
        CHECK(ex.submit([&] { return fibonacci(ex, 15); }).get() == 610);
    }
}

TEST_CASE_TEMPLATE("nested 116: every way of waiting works inside a task, on one worker", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard("a wait inside a task on one worker");
    auto ex = E::make(1);
    const auto many = [&ex] {
        std::vector<concur::future<int>> futures;
        for (int i = 0; i != 10; ++i) futures.push_back(ex.submit([i] { return i; }));
        return futures;
    };
    SUBCASE("wait") {
        CHECK(ex.submit([&] {
                    auto futures = many();
                    concur::wait(futures, concur::return_when::all_completed);
                    int sum = 0;
                    for (auto& f : futures) sum += f.get();
                    return sum;
                }).get() == 45);
    }
    SUBCASE("wait for one") {
        CHECK(ex.submit([&] {
                    auto futures = many();
                    const auto r = concur::wait(futures, concur::return_when::first_completed);
                    return r.done.empty() ? 0 : 1;
                }).get() == 1);
    }
    SUBCASE("as_completed") {
        CHECK(ex.submit([&] {
                    auto futures = many();
                    int sum = 0;
                    for (auto& f : concur::as_completed(futures)) sum += f.get();
                    return sum;
                }).get() == 45);
    }
    SUBCASE("when_all") {
        CHECK(ex.submit([&] { return concur::when_all(many()).get().size(); }).get() == 10);
    }
    SUBCASE("when_all of when_all") {
        CHECK(ex.submit([&] {
                    auto pair =
                        concur::when_all(concur::when_all(many()), concur::when_all(many()));
                    return std::get<0>(pair.get()).size();
                }).get() == 10);
    }
    SUBCASE("when_any") {
        CHECK(ex.submit([&] {
                    auto futures = many();
                    return concur::when_any(futures).get() < 10;
                }).get());
    }
    SUBCASE("a future argument") {
        CHECK(ex.submit([&] {
                    auto a = ex.submit([] { return 1; });
                    auto b = ex.submit([](int x) { return x + 1; }, std::move(a));
                    auto c = ex.submit([](int x) { return x + 1; }, std::move(b));
                    return c.get();
                }).get() == 3);
    }
    SUBCASE("when_all as a future argument") {
        CHECK(ex.submit([&] {
                    return ex
                        .submit([](const std::vector<int>& v) { return v.size(); },
                                concur::when_all(many()))
                        .get();
                }).get() == 10);
    }
    SUBCASE("map") {
        CHECK(ex.submit([&] {
                    return ex.map([](int x) { return -x; }, numbers(20)).collect()[19];
                }).get() == -19);
        CHECK(ex.submit([&] {
                    int sum = 0;
                    for (const int x : ex.map({.window = 2}, [](int i) { return i; }, numbers(20)))
                        sum += x;
                    return sum;
                }).get() == 190);
    }
    SUBCASE("map_unordered") {
        CHECK(ex.submit([&] {
                    int sum = 0;
                    for (auto&& entry : ex.map_unordered([](int i) { return i; }, numbers(20)))
                        sum += entry.second;
                    return sum;
                }).get() == 190);
    }
    SUBCASE("for_each and reduce") {
        CHECK(ex.submit([&] {
                    std::atomic<int> sum = 0;
                    ex.for_each([&](int x) { sum += x; }, numbers(20));
                    return sum + ex.reduce(std::plus<>(), numbers(20), 0);
                }).get() == 380);
    }
    SUBCASE("map inside map inside map") {
        const auto inner = [&ex](int x) {
            return ex.map_reduce([&ex](int y) { return ex.reduce(std::plus<>(), numbers(y), 0); },
                                 std::plus<>(), numbers(x), 0);
        };
        CHECK(ex.map(inner, numbers(6)).collect() == std::vector{0, 0, 0, 1, 4, 10});
    }
    SUBCASE("a wait with a time limit") {
        CHECK(ex.submit([&] { return ex.submit([] { return 5; }).get(10s); }).get() == 5);
    }
    SUBCASE("polling") {
        CHECK(ex.submit([&] {
                    auto f = ex.submit([] { return 6; });
                    while (!f.done()) std::this_thread::yield();
                    return f.get();
                }).get() == 6);
    }
}

TEST_CASE_TEMPLATE("nested 116: a task waits for one that was submitted before it from outside", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard("an outside task that a task waits for, on one worker");
    auto ex = E::make(1);
    gate door;
    const opens_at_exit at_exit(door);
    concur::shared_future<int> later;
    auto first = ex.submit([&] {
        door.wait();
        return later.get() + 1;
    });
    later = ex.submit([] { return 10; }).share();
    door.open();
    CHECK(first.get() == 11);
}

TEST_CASE_TEMPLATE("nested 118: a task that waits for itself gets would_deadlock", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard("a task that waits for itself");
    for (const unsigned workers : {1U, 3U}) {
        auto ex = E::make(workers);
        gate door;
        concur::shared_future<int> own;
        own = ex.submit([&]() -> int {
                    door.wait();
                    return own.get();
                }).share();
        door.open();
        CHECK_THROWS_AS(own.get(), concur::would_deadlock);
        CHECK(ex.submit([] { return 1; }).get() == 1);
    }
}

TEST_CASE_TEMPLATE("nested 118: so does one that waits for itself through others", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::parallel);
    const watchdog guard("a cycle of tasks");
    for (const unsigned workers : {1U, 2U, 4U}) {
        auto ex = E::make(workers);
        gate door;
        concur::shared_future<int> a;
        concur::shared_future<int> b;
        a = ex.submit([&]() -> int { return door.wait(), b.get(); }).share();
        b = ex.submit([&]() -> int { return door.wait(), a.get(); }).share();
        door.open();
        // One of the two finds the cycle; the other gets what that one threw.
        CHECK(holds<concur::would_deadlock>(a.exception()));
        CHECK(holds<concur::would_deadlock>(b.exception()));
    }
}

TEST_CASE_TEMPLATE("nested 118: a cycle through a future argument is found", E, CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::parallel);
    const watchdog guard("a cycle through a dependent");
    auto ex = E::make(2);
    gate door;
    concur::shared_future<int> dependent;
    auto first = ex.submit([&]() -> int { return door.wait(), dependent.get(); }).share();
    dependent = ex.submit([](int x) { return x; }, first).share();
    door.open();
    CHECK(holds<concur::would_deadlock>(first.exception()));
    CHECK(holds<concur::would_deadlock>(dependent.exception()));
}

TEST_CASE("nested: a worker that waits runs no unrelated work, so a mutex may be held") {
    const watchdog guard("a task that waits with a mutex held");
    for (const unsigned workers : {1U, 2U}) {
        concur::thread_pool pool(workers);
        std::mutex mutex;
        std::vector<concur::future<int>> futures;
        for (int i = 0; i != 50; ++i)
            futures.push_back(pool.submit([&] {
                // An unrelated task of the same kind, run inside this wait, would lock twice.
                const std::lock_guard lock(mutex);
                int sum = 0;
                for (const int x : pool.map({.chunk_size = 1}, [](int k) { return k; }, numbers(8)))
                    sum += x;
                auto inner = pool.submit([] { return 5; });
                return sum + inner.get();
            }));
        for (auto& f : futures) CHECK(f.get() == 33);
    }
}

TEST_CASE("nested: a task that waits does not see another task on its own stack") {
    const watchdog guard;
    concur::thread_pool pool(1);
    static thread_local int inside = 0;
    std::atomic<int> wrong = 0;
    std::vector<concur::future<void>> futures;
    for (int i = 0; i != 30; ++i)
        futures.push_back(pool.submit([&] {
            if (inside++ != 0) ++wrong;
            auto child = pool.submit([] { return 1; });
            auto grandchild = pool.submit([](int x) { return x; }, std::move(child));
            static_cast<void>(grandchild.get());
            --inside;
        }));
    for (auto& f : futures) f.get();
    CHECK(wrong == 0);
}

TEST_CASE("nested: pools may wait for each other's tasks in a tree") {
    const watchdog guard;
    concur::thread_pool a(1);
    concur::thread_pool b(1);
    auto f = a.submit(
        [&] { return b.submit([] { return 1; }).get() + b.submit([] { return 2; }).get(); });
    CHECK(f.get() == 3);
}

TEST_CASE("nested: waits inside tasks on every worker at once end") {
    const watchdog guard("all workers waiting inside tasks");
    concur::thread_pool pool(3);
    for (int round = 0; round != 50; ++round) {
        const auto sums = pool.map(
                                  {.chunk_size = 1},
                                  [&](int n) {
                                      std::vector<concur::future<int>> futures;
                                      for (int i = 0; i != n; ++i)
                                          futures.push_back(pool.submit([i] { return i; }));
                                      int sum = 0;
                                      for (const int x : concur::when_all(std::move(futures)).get())
                                          sum += x;
                                      return sum;
                                  },
                                  numbers(12))
                              .collect();
        REQUIRE(sums[11] == 55);
    }
}

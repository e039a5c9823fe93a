// SPDX-License-Identifier: BSL-1.0
// Promises of wait.
#include "all_executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/wait.hpp>

#include <doctest/doctest.h>

#include <vector>

using namespace conformance;
using concur::future;
using concur::promise;
using concur::return_when;

using positions = std::vector<std::size_t>;

namespace {

struct promised {
    explicit promised(std::size_t n) : promises(n) {
        for (auto& p : promises) futures.push_back(p.get_future());
    }
    std::vector<promise<int>> promises;
    std::vector<future<int>> futures;

    void fail(std::size_t i) {
        promises[i].set_exception(std::make_exception_ptr(custom_error(static_cast<int>(i))));
    }
};

struct job {
    int number;
    future<int> result;
};

positions plain(const auto& range) { return positions(range.begin(), range.end()); }

}  // namespace

TEST_CASE_TEMPLATE("wait 43: all_completed returns when every future is done, however it ended", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(2);
    gate door;
    std::vector<future<int>> futures;
    futures.push_back(ex.submit([&]() -> int { return door.wait(), 0; }));
    futures.push_back(ex.submit([]() -> int { throw custom_error(1); }));
    futures.push_back(ex.submit([&]() -> int { return door.wait(), 2; }));
    futures.push_back(ex.submit([]() -> int { return 3; }));
    std::jthread opener([&] { door.open(); });
    const auto result = concur::wait(futures, return_when::all_completed);
    CHECK(plain(result.done) == positions{0, 1, 2, 3});
    CHECK(plain(result.pending).empty());
    for (const auto& f : futures) CHECK(f.done());
}

TEST_CASE_TEMPLATE("wait 43: all_completed over finished futures", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    std::vector<future<int>> futures;
    for (int i = 0; i != 10; ++i)
        futures.push_back(ex.submit([i] {
            if (i == 4) throw std::runtime_error("four");
            return i;
        }));
    const auto result = concur::wait(futures, return_when::all_completed);
    CHECK(plain(result.done).size() == 10);
    CHECK(plain(result.pending).empty());
    CHECK(futures[3].get() == 3);
}

TEST_CASE("wait 44: first_completed returns at once with exactly those that are done") {
    const watchdog guard;
    promised p(5);
    p.promises[3].set_value(3);
    REQUIRE(p.futures[1].cancel());
    const auto result = concur::wait(p.futures, return_when::first_completed);
    CHECK(plain(result.done) == positions{1, 3});
    CHECK(plain(result.pending) == positions{0, 2, 4});
}

TEST_CASE("wait 44: first_completed returns on the first one that ends") {
    const watchdog guard;
    for (int ending = 0; ending != 3; ++ending) {
        promised p(3);
        std::jthread other([&] {
            if (ending == 0) p.promises[2].set_value(1);
            if (ending == 1) p.fail(2);
            if (ending == 2) p.futures[2].cancel();
        });
        const auto result = concur::wait(p.futures, return_when::first_completed);
        CHECK(plain(result.done) == positions{2});
        CHECK(plain(result.pending) == positions{0, 1});
    }
}

TEST_CASE("wait 44: a loop that consumes what is done ends, because consumed ones are skipped") {
    const watchdog guard;
    concur::thread_pool pool(2);
    std::vector<future<int>> futures;
    for (int i = 0; i != 20; ++i) futures.push_back(pool.submit([i] { return i; }));
    int sum = 0;
    int rounds = 0;
    for (;;) {
        const auto result = concur::wait(futures, return_when::first_completed);
        if (plain(result.done).empty()) break;
        for (const auto i : result.done) sum += futures[i].get();
        ++rounds;
        REQUIRE(rounds <= 20);
    }
    CHECK(sum == 190);
}

TEST_CASE("wait 45: first_exception returns at the first failure, with all that is done by then") {
    const watchdog guard;
    promised p(4);
    p.promises[3].set_value(3);
    std::jthread other([&] { p.fail(1); });
    const auto result = concur::wait(p.futures, return_when::first_exception);
    CHECK(plain(result.done) == positions{1, 3});
    CHECK(plain(result.pending) == positions{0, 2});
}

TEST_CASE("wait 45: first_exception returns at once when one has failed already") {
    const watchdog guard;
    promised p(3);
    p.fail(2);
    const auto result = concur::wait(p.futures, return_when::first_exception);
    CHECK(plain(result.done) == positions{2});
    CHECK(plain(result.pending) == positions{0, 1});
}

TEST_CASE("wait 45: first_exception is like all_completed when nothing fails") {
    const watchdog guard;
    promised p(50);
    std::jthread other([&] {
        for (auto& promise : p.promises) promise.set_value(1);
    });
    const auto result = concur::wait(p.futures, return_when::first_exception);
    CHECK(plain(result.done).size() == 50);
    CHECK(plain(result.pending).empty());
}

TEST_CASE("wait 46: a cancelled future is done, but no exception") {
    const watchdog guard;
    promised p(3);
    REQUIRE(p.futures[0].cancel());
    p.promises[1].set_value(1);
    const auto early = concur::wait(p.futures, return_when::first_exception, 20ms);
    CHECK(plain(early.done) == positions{0, 1});
    CHECK(plain(early.pending) == positions{2});
    std::jthread other([&] { p.promises[2].set_value(2); });
    const auto result = concur::wait(p.futures, return_when::first_exception);
    CHECK(plain(result.done) == positions{0, 1, 2});
}

TEST_CASE("wait 47: past the timeout it returns what is done, and does not throw") {
    const watchdog guard;
    promised p(3);
    p.promises[1].set_value(1);
    for (const auto timeout : {-5ms, 0ms, 30ms}) {
        const auto start = std::chrono::steady_clock::now();
        const auto result = concur::wait(p.futures, return_when::all_completed, timeout);
        CHECK(std::chrono::steady_clock::now() - start >= timeout);
        CHECK(plain(result.done) == positions{1});
        CHECK(plain(result.pending) == positions{0, 2});
    }
    // A later wait still works: nothing was left behind.
    p.promises[0].set_value(0);
    p.promises[2].set_value(2);
    CHECK(plain(concur::wait(p.futures, return_when::all_completed).done).size() == 3);
}

TEST_CASE("wait 47: nothing valid ends at once") {
    const watchdog guard;
    std::vector<future<int>> futures;
    for (const auto when :
         {return_when::all_completed, return_when::first_completed, return_when::first_exception}) {
        futures.clear();
        CHECK(plain(concur::wait(futures, when).done).empty());
        futures.resize(3);
        const auto result = concur::wait(futures, when);
        CHECK(plain(result.done).empty());
        CHECK(plain(result.pending).empty());
    }
}

TEST_CASE("wait 47: futures that were consumed are in neither list") {
    const watchdog guard;
    promised p(4);
    p.promises[0].set_value(0);
    p.promises[3].set_value(3);
    CHECK(p.futures[0].get() == 0);
    const auto result = concur::wait(p.futures, return_when::first_completed);
    CHECK(plain(result.done) == positions{3});
    CHECK(plain(result.pending) == positions{1, 2});
}

TEST_CASE("wait: projections and shared futures") {
    const watchdog guard;
    concur::thread_pool pool(2);
    std::vector<job> jobs;
    for (int i = 0; i != 5; ++i)
        jobs.push_back({.number = i, .result = pool.submit([i] { return i; })});
    const auto result = concur::wait(jobs, &job::result, return_when::all_completed);
    CHECK(plain(result.done) == positions{0, 1, 2, 3, 4});

    const auto shared = pool.submit([] { return 1; }).share();
    const std::vector<concur::shared_future<int>> all{shared};
    CHECK(plain(concur::wait(all, return_when::all_completed).done) == positions{0});
}

TEST_CASE("wait: does not consume, and does not rethrow") {
    const watchdog guard;
    promised p(2);
    p.promises[0].set_value(7);
    p.fail(1);
    static_cast<void>(concur::wait(p.futures, return_when::all_completed));
    CHECK(p.futures[0].get() == 7);
    CHECK_THROWS_AS(p.futures[1].get(), custom_error);
}

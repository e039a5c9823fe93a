// SPDX-License-Identifier: BSL-1.0
// Promises of as_completed.
#include "all_executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/as_completed.hpp>
#include <concur/error.hpp>

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

using namespace conformance;
using concur::as_completed;
using concur::future;
using concur::promise;

namespace {

/// `n` promises and their futures, side by side.
struct promised {
    explicit promised(std::size_t n) : promises(n) {
        for (auto& p : promises) futures.push_back(p.get_future());
    }
    std::vector<promise<int>> promises;
    std::vector<future<int>> futures;

    std::size_t position(const future<int>& f) const {
        return static_cast<std::size_t>(&f - futures.data());
    }
};

struct job {
    std::string name;
    future<int> result;
};

}  // namespace

TEST_CASE_TEMPLATE("as_completed 36: yields every future once, done ones without blocking", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    std::vector<future<int>> futures;
    for (int i = 0; i != 20; ++i)
        futures.push_back(ex.submit([i] {
            if (i % 7 == 3) throw std::runtime_error("unlucky");
            return i;
        }));
    std::multiset<int> seen;
    int failed = 0;
    for (future<int>& f : as_completed(futures)) {
        CHECK(f.done());
        auto outcome = f.get_outcome();
        if (outcome.has_value())
            seen.insert(*outcome);
        else
            ++failed;
    }
    CHECK(failed == 3);
    CHECK(seen.size() == 17);
    CHECK(std::set<int>(seen.begin(), seen.end()).size() == 17);
}

TEST_CASE("as_completed 36: done ones come first, the others in order of completion") {
    const watchdog guard;
    promised p(5);
    p.promises[4].set_value(4);
    REQUIRE(p.futures[2].cancel());
    p.promises[1].set_exception(std::make_exception_ptr(custom_error(1)));
    std::vector<std::size_t> order;
    for (future<int>& f : as_completed(p.futures)) {
        order.push_back(p.position(f));
        if (order.size() == 3) p.promises[3].set_value(3);
        if (order.size() == 4) p.promises[0].set_value(0);
    }
    REQUIRE(order.size() == 5);
    CHECK(std::set(order.begin(), order.begin() + 3) == std::set<std::size_t>{1, 2, 4});
    CHECK(order[3] == 3);
    CHECK(order[4] == 0);
    CHECK(p.futures[4].get() == 4);  // references to the range's own elements
}

TEST_CASE("as_completed 36: futures that complete before they are asked for keep their order") {
    const watchdog guard;
    promised p(4);
    p.promises[3].set_value(0);
    std::vector<std::size_t> order;
    for (future<int>& f : as_completed(p.futures)) {
        order.push_back(p.position(f));
        if (order.size() == 1) {
            p.promises[2].set_value(0);
            p.promises[0].set_value(0);
            p.promises[1].set_value(0);
        }
    }
    CHECK(order == std::vector<std::size_t>{3, 2, 0, 1});
}

TEST_CASE("as_completed 37: past the timeout, what is done has come and timeout_error follows") {
    const watchdog guard;
    for (const auto timeout : {0ms, 50ms}) {
        promised p(3);
        p.promises[0].set_value(0);
        p.promises[2].set_value(2);
        std::set<std::size_t> seen;
        std::string text;
        const auto start = std::chrono::steady_clock::now();
        try {
            for (future<int>& f : as_completed(p.futures, timeout)) seen.insert(p.position(f));
            FAIL("the loop ended");
        } catch (const concur::timeout_error& error) {
            text = error.what();
        }
        CHECK(std::chrono::steady_clock::now() - start >= timeout);
        CHECK(seen == std::set<std::size_t>{0, 2});
        CAPTURE(text);
        CHECK(text.find('1') != std::string::npos);
        CHECK(text.find('3') != std::string::npos);
        CHECK(text.find("futures unfinished") != std::string::npos);
    }
}

TEST_CASE("as_completed 37: the timeout is for the whole loop, and done futures always come") {
    const watchdog guard;
    promised p(3);
    for (auto& promise : p.promises) promise.set_value(1);
    int count = 0;
    for ([[maybe_unused]] future<int>& f : as_completed(p.futures, 0ms)) ++count;
    CHECK(count == 3);
    count = 0;
    promised q(2);
    q.promises[0].set_value(1);
    q.promises[1].set_value(1);
    for ([[maybe_unused]] future<int>& f : as_completed(q.futures, std::chrono::hours(100'000)))
        ++count;
    CHECK(count == 2);
}

TEST_CASE("as_completed 38: nothing valid ends at once") {
    const watchdog guard;
    std::vector<future<int>> none;
    for ([[maybe_unused]] auto& f : as_completed(none)) FAIL("something came");
    std::vector<future<int>> empty(3);
    for ([[maybe_unused]] auto& f : as_completed(empty)) FAIL("something came");

    promised p(3);
    p.promises[0].set_value(0);
    p.promises[1].set_value(1);
    p.promises[2].set_value(2);
    CHECK(p.futures[1].get() == 1);
    std::set<std::size_t> seen;
    for (future<int>& f : as_completed(p.futures)) seen.insert(p.position(f));
    CHECK(seen == std::set<std::size_t>{0, 2});
}

TEST_CASE("as_completed: shared futures, and loops that consume what they get") {
    const watchdog guard;
    concur::thread_pool pool(2);
    std::vector<concur::shared_future<int>> shared;
    for (int i = 0; i != 5; ++i) shared.push_back(pool.submit([i] { return i; }).share());
    int sum = 0;
    for (auto& f : as_completed(shared)) sum += f.get();
    CHECK(sum == 10);
    sum = 0;
    for (auto& f : as_completed(shared)) sum += f.get();
    CHECK(sum == 10);
}

TEST_CASE("as_completed 38: copies of one shared_future come once") {
    const watchdog guard;
    concur::thread_pool pool(1);
    const auto f = pool.submit([] { return 1; }).share();
    std::vector<concur::shared_future<int>> copies{f, f, f};
    int count = 0;
    for ([[maybe_unused]] auto& copy : as_completed(copies)) ++count;
    CHECK(count == 1);
}

TEST_CASE_TEMPLATE("as_completed 39: leaving early unlinks the waiter", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    promised p(10);
    p.promises[5].set_value(5);
    for (future<int>& f : as_completed(p.futures)) {
        CHECK(p.position(f) == 5);
        break;
    }
    // A waiter left behind would be touched here.
    for (std::size_t i = 0; i != 10; ++i)
        if (i != 5) p.promises[i].set_value(0);
    CHECK(p.futures[5].get() == 5);

    auto ex = E::make(2);
    tally results;
    std::vector<future<probe>> probes;
    for (int i = 0; i != 10; ++i) probes.push_back(ex.submit([&] { return probe(results); }));
    for (future<probe>& f : as_completed(probes)) {
        static_cast<void>(f.get());
        break;
    }
    probes.clear();
    ex.shutdown();
    eventually([&] { return results.alive == 0; });
}

TEST_CASE("as_completed 40: futures of different executors are merged by completion") {
    const watchdog guard;
    concur::serial_executor serial;
    concur::thread_pool a(1);
    concur::thread_pool b(1);
    promise<int> own;
    gate in_a;
    gate in_b;
    std::vector<future<int>> futures;
    futures.push_back(own.get_future());
    futures.push_back(a.submit([&] { return in_a.wait(), 1; }));
    futures.push_back(b.submit([&] { return in_b.wait(), 2; }));
    futures.push_back(serial.submit([] { return 3; }));
    std::vector<int> order;
    for (future<int>& f : as_completed(futures)) {
        order.push_back(f.get());
        if (order.size() == 1) in_b.open();
        if (order.size() == 2) in_a.open();
        if (order.size() == 3) own.set_value(0);
    }
    CHECK(order == std::vector{3, 2, 1, 0});
}

TEST_CASE_TEMPLATE("as_completed 41: a pending future that is cancelled comes promptly", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    blocker hold(ex);  // no worker will ever notice
    std::vector<future<int>> futures;
    futures.push_back(ex.submit([] { return 1; }));
    futures.push_back(ex.submit([] { return 2; }));
    concur::promise<int> first;  // comes at once: then the others are being waited for
    first.set_value(3);
    futures.push_back(first.get_future());
    gate waiting;
    std::jthread canceller([&] {
        waiting.wait();
        futures[1].cancel();
        futures[0].cancel();
    });
    std::vector<std::ptrdiff_t> order;
    for (future<int>& f : as_completed(futures)) {
        waiting.open();
        CHECK(f.cancelled() == (&f != &futures[2]));
        order.push_back(&f - futures.data());
    }
    CHECK(order == std::vector<std::ptrdiff_t>{2, 1, 0});
}

TEST_CASE_TEMPLATE("as_completed: in maps and pairs, the last member is the future", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    std::map<std::string, future<int>> pages;
    pages.emplace("three", ex.submit([] { return 3; }));
    pages.emplace("five", ex.submit([] { return 5; }));
    std::map<std::string, int> seen;
    for (auto& [url, f] : as_completed(pages)) seen[url] = f.get();
    CHECK(seen == std::map<std::string, int>{{"three", 3}, {"five", 5}});

    std::vector<std::tuple<int, std::string, future<int>>> rows;
    rows.emplace_back(1, "a", ex.submit([] { return 10; }));
    rows.emplace_back(2, "b", ex.submit([] { return 20; }));
    int sum = 0;
    for (auto& [number, text, f] : as_completed(rows)) {
        CHECK(text == (number == 1 ? "a" : "b"));
        sum += number * f.get();
    }
    CHECK(sum == 50);
}

TEST_CASE_TEMPLATE("as_completed: anything else takes a projection", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    std::vector<job> jobs;
    for (int i = 0; i != 5; ++i)
        jobs.push_back({.name = std::to_string(i), .result = ex.submit([i] { return i; })});
    int count = 0;
    for (job& j : as_completed(jobs, &job::result)) {
        CHECK(j.result.get() == std::stoi(j.name));
        CHECK(&j >= jobs.data());
        CHECK(&j < jobs.data() + jobs.size());
        ++count;
    }
    CHECK(count == 5);
    for ([[maybe_unused]] job& j :
         as_completed(jobs, [](job& x) -> future<int>& { return x.result; }))
        FAIL("consumed futures came again");
}

TEST_CASE_TEMPLATE("as_completed: an rvalue range is moved in, and can grow", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    std::vector<future<int>> futures;
    futures.push_back(ex.submit([] { return 5; }));
    futures.push_back(ex.submit([] { return 3; }));
    auto completed = as_completed(std::move(futures));
    int visited = 0;
    for (future<int>& f : completed) {
        const int left = f.get();
        ++visited;
        if (left != 0) completed.add(ex.submit([left] { return left - 1; }));
    }
    CHECK(visited == 6 + 4);
}

TEST_CASE_TEMPLATE("as_completed: a temporary range lives as long as the loop", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    const auto make = [&] {
        std::vector<future<int>> futures;
        for (int i = 0; i != 8; ++i) futures.push_back(ex.submit([i] { return i; }));
        return futures;
    };
    int sum = 0;
    for (future<int>& f : as_completed(make())) sum += f.get();
    CHECK(sum == 28);
}

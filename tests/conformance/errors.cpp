// SPDX-License-Identifier: BSL-1.0
// Promises about exceptions: those of tasks, of post, and of everything that a task drags along.
#include "all_executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/error.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

using namespace conformance;

namespace {

struct not_standard {
    int number;
};

/// Throws whenever it is copied, and when moved if asked to.
struct throws_on_copy {
    throws_on_copy() = default;
    throws_on_copy(const throws_on_copy&) { throw custom_error(21); }
    throws_on_copy(throws_on_copy&&) noexcept {}
    void operator()() const {}
};

struct throws_on_move {
    explicit throws_on_move(int moves_left_) : moves_left(moves_left_) {}
    throws_on_move(throws_on_move&& other) : moves_left(other.moves_left - 1) {
        if (moves_left < 0) throw custom_error(22);
    }
    int moves_left;
};

template <class Error>
std::exception_ptr submit_throwing(concur::executor auto& ex, Error error) {
    return ex.submit([error] { throw error; }).exception();
}

}  // namespace

static_assert(std::is_base_of_v<std::runtime_error, concur::error>);
static_assert(std::is_base_of_v<concur::error, concur::executor_shut_down>);
static_assert(std::is_base_of_v<concur::error, concur::broken_executor>);
static_assert(std::is_base_of_v<concur::error, concur::task_cancelled>);
static_assert(std::is_base_of_v<concur::error, concur::timeout_error>);
static_assert(std::is_base_of_v<concur::error, concur::would_deadlock>);

TEST_CASE_TEMPLATE("errors 106: get() throws the same type with the same text", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(1);
    CHECK(text_thrown<std::out_of_range>(
              [&] { ex.submit([] { throw std::out_of_range("too far"); }).get(); }) == "too far");
    CHECK(text_thrown<std::invalid_argument>([&] {
              ex.submit([]() -> int { throw std::invalid_argument("wrong"); }).get();
          }) == "wrong");
    CHECK_THROWS_AS(ex.submit([] { throw std::bad_alloc(); }).get(), std::bad_alloc);
    CHECK_THROWS_AS(static_cast<void>(ex.submit([] { return std::vector<int>().at(3); }).get()),
                    std::out_of_range);
    CHECK(ex.submit([] { return 1; }).get() == 1);
}

TEST_CASE_TEMPLATE("errors 106: in process, it is the very same exception object", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    const auto original = std::make_exception_ptr(custom_error(8));
    auto f = ex.submit([&] { std::rethrow_exception(original); });
    CHECK(f.exception() == original);
    CHECK(f.get_outcome().error() == original);

    auto in_map = ex.map([&](int) -> int { std::rethrow_exception(original); }, numbers(3));
    CHECK(drain<int>(in_map).error == original);
    try {
        ex.for_each([&](int) { std::rethrow_exception(original); }, numbers(1));
        FAIL("for_each returned");
    } catch (...) {
        CHECK(std::current_exception() == original);
    }
}

TEST_CASE_TEMPLATE("errors 108: in process, anything thrown arrives unchanged", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(1);
    CHECK_THROWS_AS(std::rethrow_exception(submit_throwing(ex, 42)), int);
    CHECK_THROWS_AS(std::rethrow_exception(submit_throwing(ex, not_standard{3})), not_standard);
    CHECK(holds<custom_error>(submit_throwing(ex, custom_error(4))));
    const auto code = std::make_error_code(std::errc::permission_denied);
    try {
        std::rethrow_exception(submit_throwing(ex, std::system_error(code)));
    } catch (const std::system_error& error) {
        CHECK(error.code() == code);
    }
}

TEST_CASE_TEMPLATE("errors: a failing task leaves the worker in order", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    int failed = 0;
    int good = 0;
    for (int i = 0; i != 500; ++i) {
        auto f = ex.submit([i] {
            if (i % 2 == 0) throw std::runtime_error("even");
            return i;
        });
        ++(f.get_outcome().has_value() ? good : failed);
    }
    CHECK(good == 250);
    CHECK(failed == 250);
    CHECK(ex.worker_count() >= 1);
}

TEST_CASE("errors 114: what a posted task throws goes to on_error, and the worker goes on") {
    const watchdog guard;
    error_log errors;
    std::atomic<int> ran = 0;
    {
        concur::thread_pool pool({.workers = 2, .on_error = std::ref(errors)});
        for (int i = 0; i != 20; ++i)
            pool.post([&, i] {
                ++ran;
                if (i % 2 == 0) throw custom_error(i);
            });
        pool.wait_idle();
        CHECK(ran == 20);
        CHECK(errors.texts().size() == 10);  // idle: all were reported
        CHECK(pool.submit([] { return 1; }).get() == 1);
        const auto stats = pool.stats();
        CHECK(stats.failed == 10);
        CHECK(stats.completed == 11);
    }
    auto texts = errors.texts();
    std::sort(texts.begin(), texts.end());
    CHECK(texts.front() == "custom 0");
}

TEST_CASE_TEMPLATE("errors 114: without a handler a failing post is not fatal", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(1);
    ex.post([] { throw std::runtime_error("this line on stderr is part of the test"); });
    ex.wait_idle();
    CHECK(ex.submit([] { return 1; }).get() == 1);
}

TEST_CASE("errors: what a submitted task throws does not go to on_error") {
    const watchdog guard;
    error_log errors;
    {
        concur::thread_pool pool({.workers = 1, .on_error = std::ref(errors)});
        auto f = pool.submit([] { throw custom_error(1); });
        CHECK_THROWS_AS(f.get(), custom_error);
    }
    CHECK(errors.texts().empty());
}

TEST_CASE_TEMPLATE("errors: an argument whose copy throws fails submit itself", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(1);
    tally counts;
    const throws_on_copy bad;
    const auto task = [](const probe&, const throws_on_copy&) {};
    CHECK_THROWS_AS(static_cast<void>(ex.submit(task, probe(counts), bad)), custom_error);
    CHECK_THROWS_AS(static_cast<void>(ex.submit(bad)), custom_error);
    CHECK(counts.alive == 0);
    ex.wait_idle();  // nothing half submitted is left
    const auto stats = ex.stats();
    CHECK(stats.pending == 0);
    CHECK(stats.submitted == stats.completed + stats.failed + stats.cancelled);
}

TEST_CASE_TEMPLATE("errors: a result whose move throws fails its own future", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(1);
    // Its first move throws: on the way into the future, or on the way out of it.
    auto f = ex.submit([] { return throws_on_move(0); });
    CHECK_THROWS_AS(static_cast<void>(f.get()), custom_error);
    CHECK(ex.submit([] { return 1; }).get() == 1);
}

TEST_CASE_TEMPLATE("errors: map, too, survives a callable whose copy throws", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    struct callable {
        throws_on_copy bad = {};
        int operator()(int x) const { return x; }
    };
    const callable f;
    CHECK_THROWS_AS(static_cast<void>(ex.map(f, numbers(5))), custom_error);
    CHECK(ex.map(callable(), numbers(5)).collect() == numbers(5));
}

TEST_CASE_TEMPLATE("errors: exceptions of many items are all freed", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    tally counts;
    struct carries_probe : std::runtime_error {
        explicit carries_probe(tally& t) : std::runtime_error("carries"), held(t) {}
        probe held;
    };
    {
        auto outcomes =
            ex.map([&](int) -> int { throw carries_probe(counts); }, numbers(100)).outcomes();
        int failures = 0;
        for (auto&& outcome : outcomes) failures += !outcome.has_value();
        CHECK(failures == 100);
    }
    auto dropped = ex.submit([&] { throw carries_probe(counts); });
    dropped.wait();
    dropped = {};
    ex.shutdown();
    eventually([&] { return counts.alive == 0; });
}

// SPDX-License-Identifier: BSL-1.0
// Promises of submit: what may be called, how arguments travel, and when it is refused.
#include "all_executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/error.hpp>

#include <doctest/doctest.h>

#include <array>
#include <barrier>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

using namespace conformance;

namespace {

int twice(int x) { return 2 * x; }
int sum_of(const std::vector<int>& v) { return std::accumulate(v.begin(), v.end(), 0); }
std::string joined(std::string a, const char* b) { return a + b; }

struct account {
    int balance = 0;
    int plus(int amount) const { return balance + amount; }
    void deposit(int amount) { balance += amount; }
};

struct adder {
    int base;
    int operator()(int x) const { return base + x; }
};

struct counting_calls {
    int calls = 0;
    int operator()() { return ++calls; }
};

struct move_only_callable {
    std::unique_ptr<int> value;
    int operator()() { return *value; }
};

int& reference_to_static() {
    static int value = 17;
    return value;
}

}  // namespace

TEST_CASE_TEMPLATE("submit 13: gives what std::invoke gives, for functions and objects", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    CHECK(ex.submit(twice, 4).get() == 8);
    CHECK(ex.submit(&twice, 5).get() == 10);
    CHECK(ex.submit(adder{.base = 100}, 1).get() == 101);
    CHECK(ex.submit([](int a, int b) { return a - b; }, 9, 4).get() == 5);
    CHECK(ex.submit(sum_of, std::vector{1, 2, 3}).get() == 6);
    CHECK(ex.submit([] { return std::string("plain"); }).get() == "plain");
    CHECK(ex.submit(std::plus<>(), 2, 3).get() == 5);
}

TEST_CASE_TEMPLATE("submit 13: member functions and data members are callables", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    account mine{.balance = 10};
    CHECK(ex.submit(&account::plus, mine, 5).get() == 15);
    CHECK(ex.submit(&account::plus, &mine, 6).get() == 16);
    CHECK(ex.submit(&account::balance, mine).get() == 10);
    ex.submit(&account::deposit, &mine, 7).get();
    CHECK(mine.balance == 17);
    ex.submit(&account::deposit, std::ref(mine), 1).get();
    CHECK(mine.balance == 18);
    ex.submit(&account::deposit, mine, 1000).get();  // on a copy
    CHECK(mine.balance == 18);
    CHECK(ex.submit(&account::plus, std::make_unique<account>(mine), 2).get() == 20);
}

TEST_CASE_TEMPLATE("submit 13: std::ref shares the original, everything else is copied", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    std::vector<int> data{1, 2};
    ex.submit([](std::vector<int>& v) { v.push_back(3); }, std::ref(data)).get();
    CHECK(data == std::vector{1, 2, 3});
    ex.submit([](std::vector<int> v) { v.push_back(4); }, data).get();
    CHECK(data == std::vector{1, 2, 3});

    counting_calls original;
    CHECK(ex.submit(original).get() == 1);
    CHECK(original.calls == 0);
    CHECK(ex.submit(std::ref(original)).get() == 1);
    CHECK(original.calls == 1);

    const std::string text = "shared";
    auto address = ex.submit([](const std::string& s) { return &s; }, std::cref(text));
    CHECK(address.get() == &text);
}

TEST_CASE_TEMPLATE("submit 13: an argument that changes after submit does not reach the task", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    blocker hold(ex);
    std::string text = "before";
    std::array<char, 3> buffer{'a', 'b', '\0'};
    auto f = ex.submit(joined, text, "!");
    auto g = ex.submit([](const std::array<char, 3>& b) { return std::string(b.data()); }, buffer);
    text = "after";
    buffer[0] = 'z';
    hold.release();
    CHECK(f.get() == "before!");
    CHECK(g.get() == "ab");
}

TEST_CASE_TEMPLATE("submit: the result is the decayed result of f", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(1);
    auto f = ex.submit(reference_to_static);
    static_assert(std::is_same_v<decltype(f), concur::future<int>>);
    CHECK(f.get() == 17);
    auto g = ex.submit([]() -> const std::string& {
        static const std::string text = "static";
        return text;
    });
    static_assert(std::is_same_v<decltype(g), concur::future<std::string>>);
    CHECK(g.get() == "static");
}

TEST_CASE_TEMPLATE("submit 14: move-only callables and arguments are welcome", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    CHECK(ex.submit(move_only_callable{std::make_unique<int>(3)}).get() == 3);
    auto by_value = [](std::unique_ptr<int> p) { return *p; };
    CHECK(ex.submit(by_value, std::make_unique<int>(4)).get() == 4);
    auto by_reference = [](const std::unique_ptr<int>& p) { return *p; };
    CHECK(ex.submit(by_reference, std::make_unique<int>(5)).get() == 5);
    auto by_rvalue = [](std::unique_ptr<int>&& p) { return std::move(p); };
    CHECK(*ex.submit(by_rvalue, std::make_unique<int>(6)).get() == 6);
    gate ran;
    ex.post([&, p = std::make_unique<int>(7)] {
        if (*p == 7) ran.open();
    });
    ran.wait();
}

TEST_CASE_TEMPLATE("submit 14: rvalues are moved in once and never copied", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(1);
    tally arguments;
    const int moves = ex.submit([&](probe&& p) { return p.value() == 1 ? +arguments.moves : -1; },
                                probe(arguments, 1))
                          .get();
    CHECK(moves >= 0);
    CHECK(moves <= 1);
    CHECK(arguments.copies == 0);

    tally captures;
    auto task = [&captures, held = probe(captures, 2)] {
        return held.value() == 2 ? +captures.moves : -1;
    };
    const int before = captures.moves;
    const int after = ex.submit(std::move(task)).get();
    CHECK(after >= before);
    CHECK(after <= before + 1);
    CHECK(captures.copies == 0);
}

TEST_CASE_TEMPLATE("submit 14: lvalues are copied once", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(1);
    tally counts;
    const probe original(counts, 1);
    CHECK(ex.submit([](const probe& p) { return p.value(); }, original).get() == 1);
    CHECK(counts.copies == 1);
    CHECK(original.value() == 1);
}

TEST_CASE_TEMPLATE("submit 14: map runs one stored callable and does not consume it", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    tally counts;
    auto f = [held = probe(counts, 10)](int x) { return held.value() + x; };
    const auto results = ex.map({.chunk_size = 3}, f, numbers(50)).collect();
    for (int i = 0; i != 50; ++i) CHECK(results[static_cast<std::size_t>(i)] == 10 + i);
    CHECK(counts.copies <= 1);
    CHECK(f(0) == 10);
}

TEST_CASE_TEMPLATE("submit: options come first, and braces alone suffice", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(1);
    CHECK(ex.submit({.name = "named"}, twice, 1).get() == 2);
    CHECK(ex.submit({.timeout = std::chrono::hours(1)}, twice, 2).get() == 4);
    CHECK(ex.submit({.name = "all", .retries = 1, .priority = 3, .seed = 4}, twice, 3).get() == 6);
    const concur::task_options options{.name = "stored"};
    CHECK(ex.submit(options, twice, 4).get() == 8);
    CHECK(ex.submit({}, twice, 5).get() == 10);
    ex.post({.name = "posted"}, twice, 6);
    ex.wait_idle();
}

TEST_CASE_TEMPLATE("submit 15: every verb throws executor_shut_down after shutdown()", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    for (const bool wait : {true, false}) {
        for (const bool cancel : {true, false}) {
            auto ex = E::make(1);
            ex.shutdown({.wait = wait, .cancel_pending = cancel});
            const auto data = numbers(3);
            CHECK_THROWS_AS(static_cast<void>(ex.submit(twice, 1)), concur::executor_shut_down);
            CHECK_THROWS_AS(ex.post(twice, 1), concur::executor_shut_down);
            CHECK_THROWS_AS(static_cast<void>(ex.map(twice, data)), concur::executor_shut_down);
            CHECK_THROWS_AS(static_cast<void>(ex.map_unordered(twice, data)),
                            concur::executor_shut_down);
            CHECK_THROWS_AS(ex.for_each(twice, data), concur::executor_shut_down);
            CHECK_THROWS_AS(static_cast<void>(ex.reduce(std::plus<>(), data, 0)),
                            concur::executor_shut_down);
            CHECK_THROWS_AS(static_cast<void>(ex.map_reduce(twice, std::plus<>(), data, 0)),
                            concur::executor_shut_down);
        }
    }
}

TEST_CASE_TEMPLATE("submit 15: the refusal says what happened", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(1);
    ex.shutdown();
    const auto text = text_thrown<concur::error>([&] { static_cast<void>(ex.submit(twice, 1)); });
    CHECK(text.find("after shutdown") != std::string::npos);
}

TEST_CASE_TEMPLATE("submit 15: a refused submit does not consume its arguments for ever", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(1);
    ex.shutdown();
    tally counts;
    CHECK_THROWS_AS(static_cast<void>(ex.submit([](const probe&) {}, probe(counts))),
                    concur::executor_shut_down);
    CHECK(counts.alive == 0);
}

TEST_CASE("submit 18: thread_pool(n) runs n blocked tasks at once, on n workers") {
    const watchdog guard;
    constexpr std::size_t workers = 3;
    const auto before = live_threads();
    concur::thread_pool pool(workers);
    std::atomic<int> running = 0;
    gate door;
    const opens_at_exit at_exit(door);
    for (std::size_t i = 0; i != 15 * workers; ++i)
        pool.post([&] {
            ++running;
            door.wait();
        });
    eventually([&] { return running == static_cast<int>(workers); });
    CHECK(threads_besides(before) == workers);
    CHECK(running == static_cast<int>(workers));
    door.open();
    pool.wait_idle();
    CHECK(running == static_cast<int>(15 * workers));
}

TEST_CASE("submit 20: more workers than CPUs really run at once") {
    const watchdog guard("a barrier of all workers to open");
    const std::size_t workers = 2 * std::size_t{std::thread::hardware_concurrency()} + 1;
    concur::thread_pool pool({.workers = workers});
    CHECK(pool.worker_count() == workers);
    std::barrier everyone(static_cast<std::ptrdiff_t>(workers));
    std::vector<concur::future<void>> tasks;
    for (std::size_t i = 0; i != workers; ++i)
        tasks.push_back(pool.submit([&] { everyone.arrive_and_wait(); }));
    for (auto& task : tasks) task.get();
}

TEST_CASE("submit 20: a negative number of workers is refused, 0 means the usable CPUs") {
    CHECK_THROWS_AS(concur::thread_pool(-1), std::invalid_argument);
    CHECK_THROWS_AS(concur::thread_pool({.workers = -3}), std::invalid_argument);
    const concur::thread_pool standard;
    CHECK(standard.worker_count() == concur::usable_cpus());
    const concur::thread_pool zero(0);
    CHECK(zero.worker_count() == concur::usable_cpus());
}

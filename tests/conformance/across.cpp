// SPDX-License-Identifier: BSL-1.0
// Promises that other files test with tasks that share the test's memory, where tasks may be in
// other processes. Not here, for they cannot apply to a process_pool: tasks that use their own
// executor (it cannot be used in a worker), captures that die with a cancel (they are bytes by
// then), std::ref and references, callers that take a worker's place in loops, and a dropped map
// that waits for its running items (they share nothing with the caller).
#include "across.hpp"
#include "all_executors.hpp"
#include "watchdog.hpp"

#include <concur/error.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <latch>
#include <memory>
#include <optional>
#include <ranges>
#include <thread>

using namespace conformance;

#define CONCUR_POOLS conformance::threads, conformance::processes

namespace {

struct note_item {
    pen notes;
    int operator()(int item) const { return notes.note(item), item; }
};

/// Many of them are handed to a worker ahead.
template <class Executor>
void run_short_tasks(Executor& ex) {
    for (int round = 0; round != 3; ++round) {
        std::vector<concur::future<int>> tasks;
        for (int i = 0; i != 3000; ++i) tasks.push_back(ex.submit([i] { return i; }));
        for (auto& task : tasks) task.get();
    }
}

}  // namespace

// ---- order

TEST_CASE_TEMPLATE("across: one worker takes the tasks of each thread in their order", E,
                   CONCUR_POOLS) {
    const watchdog guard;
    auto ex = E::make(1);
    const far_journal mine[3];
    {
        std::vector<std::jthread> threads;
        for (const auto& journal : mine)
            threads.emplace_back([&ex, notes = journal.writer()] {
                for (int i = 0; i != 300; ++i) {
                    if (i % 3 == 0)
                        ex.post([notes, i] { notes.note(i); });
                    else
                        static_cast<void>(ex.submit([notes, i] { notes.note(i); }));
                }
            });
    }
    ex.wait_idle();
    for (const auto& journal : mine) CHECK(journal.entries() == numbers(300));
}

TEST_CASE_TEMPLATE("across: with w workers, a task does not overtake w before it", E,
                   CONCUR_POOLS) {
    const watchdog guard;
    auto ex = E::make(3);
    const far_journal started;
    far_gate gate;
    for (int i = 0; i != 10; ++i)
        ex.post([notes = started.writer(), entrance = gate.entrance(), i] {
            notes.note(i);
            entrance.wait();
        });
    eventually([&] { return started.size() == 3; });
    auto first = started.entries();
    std::sort(first.begin(), first.end());
    CHECK(first == numbers(3));
    gate.open();
    ex.wait_idle();
    CHECK(started.size() == 10);
}

TEST_CASE_TEMPLATE("across 152: the highest priority first, in order among equals", E,
                   CONCUR_POOLS) {
    const watchdog guard;
    for (const bool handed_out_ahead : {false, true}) {
        CAPTURE(handed_out_ahead);
        auto ex = E::make(1);
        if (handed_out_ahead) run_short_tasks(ex);
        const far_journal started;
        const auto post = [&](int priority, int number) {
            ex.post({.priority = priority},
                    [notes = started.writer(), number] { notes.note(number); });
        };
        {
            far_blocker hold(ex);
            for (int i = 0; i != 3; ++i) {
                post(0, i);
                post(-5, -10 + i);
                post(10, 100 + i);
                post(3, 30 + i);
            }
        }
        ex.wait_idle();
        CHECK(started.entries() == std::vector{100, 101, 102, 30, 31, 32, 0, 1, 2, -10, -9, -8});
    }
}

TEST_CASE_TEMPLATE("across 152: priority of map items counts against other tasks", E,
                   CONCUR_POOLS) {
    const watchdog guard;
    auto ex = E::make(1);
    const far_journal started;
    {
        far_blocker hold(ex);
        ex.post([notes = started.writer()] { notes.note(1); });
        auto urgent =
            ex.map({.chunk_size = 1, .priority = 7}, note_item{started.writer()}, std::vector{7});
        hold.release();
        CHECK(drain<int>(urgent).values == std::vector{7});
    }
    ex.wait_idle();
    CHECK(started.entries() == std::vector{7, 1});
}

// ---- max_pending

TEST_CASE_TEMPLATE("across 145: a full queue makes a submit wait for space", E, CONCUR_POOLS) {
    const watchdog guard("a submit into a full queue");
    typename E::type ex({.workers = 1, .max_pending = 3});
    const far_journal ran;
    std::optional<far_blocker<typename E::type>> hold(std::in_place, ex);
    std::atomic<int> submitted = 0;
    std::jthread submitter([&] {
        for (int i = 0; i != 20; ++i) {
            ex.post([notes = ran.writer(), i] { notes.note(i); });
            ++submitted;
        }
    });
    eventually([&] { return submitted == 3; });
    // Nothing can make room now; a submit that went through all the same would be seen here.
    CHECK_FALSE(holds_within(50ms, [&] { return submitted > 3; }));
    CHECK(ex.stats().pending <= 3);
    hold.reset();
    submitter.join();
    ex.wait_idle();
    CHECK(ran.entries() == numbers(20));
}

TEST_CASE_TEMPLATE("across 145: a cancel and a shutdown wake who waits for space", E,
                   CONCUR_POOLS) {
    const watchdog guard("a submit into a full queue");
    typename E::type ex({.workers = 1, .max_pending = 1});
    far_blocker hold(ex);
    auto queued = ex.submit([] { return 1; });
    std::jthread other([&] { ex.post([] {}); });
    REQUIRE(queued.cancel());
    other.join();
    std::atomic<bool> refused = false;
    other = std::jthread([&] {
        try {
            ex.post([] {});
        } catch (const concur::executor_shut_down&) {
            refused = true;
        }
    });
    ex.shutdown({.wait = false});
    other.join();
    CHECK(refused);
}

TEST_CASE_TEMPLATE("across: maps and loops pass through a narrow queue", E, CONCUR_POOLS) {
    const watchdog guard;
    typename E::type ex({.workers = 2, .max_pending = 1});
    const far_journal ran;
    CHECK(
        ex.map({.chunk_size = 1, .window = 20}, note_item{ran.writer()}, numbers(100)).collect() ==
        numbers(100));
    ex.for_each({.chunk_size = 1}, note_item{ran.writer()}, numbers(100));
    for (int i = 0; i != 100; ++i) CHECK(ran.count(i) == 2);
}

// ---- callbacks

TEST_CASE_TEMPLATE("across 7: callbacks run once each, in order, whatever the ending", E,
                   CONCUR_POOLS) {
    const watchdog guard;
    auto ex = E::make(1);
    journal calls;
    std::latch all(9);
    {
        far_blocker hold(ex);
        auto good = ex.submit([] { return 1; });
        auto bad = ex.submit([] { throw std::runtime_error("no"); });
        auto dropped = ex.submit([] { return 1; });
        for (int i = 0; i != 3; ++i) {
            good.add_done_callback([&, i] { calls.note(i), all.count_down(); });
            bad.add_done_callback([&, i] { calls.note(10 + i), all.count_down(); });
            dropped.add_done_callback([&, i] { calls.note(20 + i), all.count_down(); });
        }
        CHECK(calls.entries().empty());
        REQUIRE(dropped.cancel());
    }
    all.wait();
    ex.shutdown();
    std::vector<int> of_each[3];
    for (const int entry : calls.entries()) of_each[entry / 10].push_back(entry);
    CHECK(of_each[0] == std::vector{0, 1, 2});
    CHECK(of_each[1] == std::vector{10, 11, 12});
    CHECK(of_each[2] == std::vector{20, 21, 22});
}

TEST_CASE_TEMPLATE("across 7: a callback sees its future done, and may use the executor", E,
                   CONCUR_POOLS) {
    const watchdog guard("a callback that uses its own future and executor");
    auto ex = E::make(1);
    auto f = ex.submit([] { return 1; }).share();
    std::atomic<int> inner = 0;
    std::latch both(2);
    f.add_done_callback([&] {
        if (f.done()) inner += f.get();
        f.add_done_callback([&] { ++inner, both.count_down(); });
        f.cancel();
        auto another = ex.submit([] { return 2; });
        another.add_done_callback([&] { ++inner, both.count_down(); });
    });
    both.wait();
    CHECK(inner == 3);
}

TEST_CASE_TEMPLATE("across 8: on_error gets what callbacks and posted tasks throw", E,
                   CONCUR_POOLS) {
    const watchdog guard;
    error_log errors;
    typename E::type ex({.workers = 1, .on_error = std::ref(errors)});
    auto f = ex.submit([] { return 5; });
    std::latch called(1);
    f.add_done_callback([] { throw std::runtime_error("callback"); });
    f.add_done_callback([&] { called.count_down(); });
    called.wait();
    ex.post([] { throw std::runtime_error("posted"); });
    ex.wait_idle();
    eventually([&] { return errors.texts().size() == 2; });
    CHECK(errors.texts() == std::vector<std::string>{"callback", "posted"});
    CHECK(f.get() == 5);
}

TEST_CASE_TEMPLATE("across 62: waiting for the executor in its own callback is would_deadlock", E,
                   CONCUR_POOLS) {
    const watchdog guard;
    auto ex = E::make(1);
    std::atomic<int> refused = 0;
    std::latch called(1);
    {
        far_blocker hold(ex);
        auto f = ex.submit([] {});
        f.add_done_callback([&] {
            try {
                ex.shutdown();
            } catch (const concur::would_deadlock&) {
                ++refused;
            }
            try {
                ex.wait_idle();
            } catch (const concur::would_deadlock&) {
                ++refused;
            }
            called.count_down();
        });
    }
    called.wait();
    CHECK(refused == 2);
    CHECK(ex.submit([] { return 1; }).get() == 1);  // it changed nothing
}

// ---- cancel and stop

TEST_CASE_TEMPLATE("across 50: a cancelled task never runs, and everybody is told at once", E,
                   CONCUR_POOLS) {
    const watchdog guard("those who wait for a cancelled task");
    auto ex = E::make(2);
    const far_journal ran;
    std::vector<concur::shared_future<int>> tasks;
    {
        far_blocker hold(ex);
        for (int i = 0; i != 60; ++i)
            tasks.push_back(
                ex.submit([notes = ran.writer(), i] { return notes.note(i), i; }).share());
        std::jthread waiter([last = tasks[58]] { last.wait(); });
        for (std::size_t i = 0; i < 60; i += 2) REQUIRE(tasks[i].cancel());
        waiter.join();  // the workers are still busy: nobody waits for them to notice
    }
    for (std::size_t i = 1; i < 60; i += 2) CHECK(tasks[i].get() == static_cast<int>(i));
    for (std::size_t i = 0; i < 60; i += 2) CHECK(tasks[i].cancelled());
    CHECK(ran.size() == 30);
    CHECK(ex.stats().cancelled == 30);
}

TEST_CASE_TEMPLATE("across 50, 53: what runs is not cancelled, but hears request_stop()", E,
                   CONCUR_POOLS) {
    const watchdog guard;
    auto ex = E::make(2);
    const far_journal started;
    const auto until_asked = [notes = started.writer()] {
        notes.note(1);
        while (!concur::this_task::stop_requested()) std::this_thread::yield();
        return 5;
    };
    auto one = ex.submit(until_asked);
    auto other = ex.submit([notes = started.writer()](std::stop_token asked) {
        notes.note(2);
        while (!asked.stop_requested()) std::this_thread::yield();
        throw concur::task_cancelled();
    });
    eventually([&] { return started.size() == 2; });
    CHECK_FALSE(one.cancel());
    one.request_stop();
    CHECK(one.get() == 5);
    CHECK_FALSE(other.done());  // its own request only
    other.request_stop();
    CHECK_THROWS_AS(other.get(), concur::task_cancelled);
}

// ---- shutdown and rest

TEST_CASE_TEMPLATE("across 58 to 60: shutdown() without waiting, with and without cancelling", E,
                   CONCUR_POOLS) {
    const watchdog guard;
    auto ex = E::make(1);
    concur::promise<int> never;
    std::vector<concur::shared_future<int>> queued;
    std::optional<far_blocker<typename E::type>> hold(std::in_place, ex);
    for (int i = 0; i != 20; ++i) queued.push_back(ex.submit([i] { return i; }).share());
    auto dependent = ex.submit([](int x) { return x; }, never.get_future());
    ex.shutdown({.wait = false});  // would hang here if it waited
    CHECK_THROWS_AS(static_cast<void>(ex.submit([] {})), concur::executor_shut_down);
    CHECK_FALSE(queued.back().done());
    std::jthread waiter([last = queued.back()] { last.wait(); });
    ex.shutdown({.wait = false, .cancel_pending = true});
    waiter.join();  // the worker is still busy
    for (const auto& f : queued) CHECK(f.cancelled());
    CHECK(dependent.cancelled());
    hold.reset();
    ex.shutdown();
    ex.shutdown();
    CHECK(ex.stats().cancelled == 21);
    CHECK(ex.stats().completed == 1);
}

TEST_CASE_TEMPLATE("across 61, 64: destroying executors under load finishes everything", E,
                   CONCUR_POOLS) {
    const watchdog guard;
    const far_journal ran;
    std::vector<concur::future<void>> futures;
    for (int round = 0; round != 20; ++round) {
        auto ex = E::make(static_cast<std::size_t>(1 + round % 3));
        for (int i = 0; i != 8; ++i) {
            ex.post([notes = ran.writer()] { notes.note(1); });
            futures.push_back(ex.submit([notes = ran.writer()] { notes.note(2); }));
        }
    }
    CHECK(ran.count(1) == 160);
    CHECK(ran.count(2) == 160);
    for (const auto& f : futures) CHECK(f.done());
}

TEST_CASE_TEMPLATE("across 68, 155: wait_idle() waits for everything, and the counters add up", E,
                   CONCUR_POOLS) {
    const watchdog guard;
    auto ex = E::make(2);
    ex.wait_idle();
    const far_journal ran;
    for (std::size_t round = 1; round != 11; ++round) {
        for (int i = 0; i != 10; ++i) ex.post([notes = ran.writer()] { notes.note(1); });
        ex.wait_idle();
        REQUIRE(ran.size() == 10 * round);
    }
    {
        far_blocker hold(ex);
        auto failing = ex.submit([] { throw std::runtime_error("no"); });
        auto cancelled = ex.submit([] {});
        REQUIRE(cancelled.cancel());
    }
    ex.wait_idle();
    const auto stats = ex.stats();
    CHECK(stats.pending == 0);
    CHECK(stats.running == 0);
    CHECK(stats.completed == 100 + 2);
    CHECK(stats.failed == 1);
    CHECK(stats.cancelled == 1);
    CHECK(stats.submitted == 104);
}

// ---- futures as arguments

TEST_CASE_TEMPLATE("across: waiting dependents hold no worker, count, and can be cancelled", E,
                   CONCUR_POOLS) {
    const watchdog guard;
    auto ex = E::make(1);
    concur::promise<int> input, other, dropped;
    auto one = ex.submit([](int x) { return 10 * x; }, input.get_future());
    auto two = ex.submit([](int x, int y) { return x + y; }, std::move(one), other.get_future());
    auto three = ex.submit([](int x) { return x; }, dropped.get_future());
    CHECK(ex.submit([] { return 1; }).get() == 1);  // the only worker is free
    CHECK(ex.stats().pending == 3);
    CHECK(three.cancel());
    std::jthread idle([&] { ex.wait_idle(); });
    input.set_value(4);
    other.set_value(2);
    CHECK(two.get() == 42);
    idle.join();
    concur::promise<int> cancelled;
    auto source = cancelled.get_future().share();
    auto dependent = ex.submit([](int x) { return x; }, source);
    source.cancel();
    CHECK_THROWS_AS(dependent.get(), concur::task_cancelled);
}

// ---- time

TEST_CASE_TEMPLATE("across 124: a get() that runs out throws, and the future stays valid", E,
                   CONCUR_POOLS) {
    const watchdog guard;
    auto ex = E::make(1);
    far_gate gate;
    auto f = ex.submit([entrance = gate.entrance()] { return entrance.wait(), 3; });
    CHECK_THROWS_AS(f.get(5ms), concur::timeout_error);
    CHECK_THROWS_AS(f.get(0ms), concur::timeout_error);
    CHECK_THROWS_AS(f.get(-1h), concur::timeout_error);
    CHECK(f.valid());
    gate.open();
    CHECK(f.get() == 3);
}

TEST_CASE_TEMPLATE("across 25: a deadline of a map, and what was finished is delivered", E,
                   CONCUR_POOLS) {
    const watchdog guard;
    auto ex = E::make(1);
    auto map = ex.map(
        {.chunk_size = 1, .deadline = 500ms},
        [](int i) {
            while (i == 3 && !concur::this_task::stop_requested()) std::this_thread::yield();
            return i;
        },
        numbers(10));
    const auto read = drain<int>(map);
    CHECK(read.values.size() <= 3);
    CHECK(read.values == numbers(static_cast<int>(read.values.size())));
    CHECK(holds<concur::timeout_error>(read.error));
}

// ---- lazy maps

TEST_CASE_TEMPLATE("across 23, 29: an unread map runs at most `window` items, then rests", E,
                   CONCUR_POOLS) {
    const watchdog guard;
    auto ex = E::make(2);
    const far_journal ran;
    auto map = ex.map({.window = 12}, note_item{ran.writer()}, std::views::iota(0));
    eventually([&] { return ran.size() == 12; });
    ex.wait_idle();
    CHECK(ran.size() == 12);
    auto at = map.begin();
    for (int i = 0; i != 30; ++i, ++at) CHECK(*at == i);
    CHECK(ran.size() <= 30 + 1 + 12);
}

TEST_CASE_TEMPLATE("across 26: a dropped map cancels what has not started, and stops the rest", E,
                   CONCUR_POOLS) {
    const watchdog guard;
    auto ex = E::make(1);
    const far_journal started;
    {
        auto map = ex.map(
            {.chunk_size = 1},
            [notes = started.writer()](int i) {
                notes.note(i);
                while (!concur::this_task::stop_requested()) std::this_thread::yield();
                return i;
            },
            numbers(20));
        eventually([&] { return started.size() == 1; });
    }
    ex.wait_idle();
    CHECK(started.size() <= 2);  // one may start between the stop of the first and the cancels
    CHECK(started.entries()[0] == 0);
}

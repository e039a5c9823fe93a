// SPDX-License-Identifier: BSL-1.0
// when_all, when_any, with_timeout, shield, task_group: nothing outlives its scope.
#include "../../conformance/tools.hpp"
#include "../../conformance/watchdog.hpp"

#include <concur/event_loop.hpp>
#include <concur/thread_pool.hpp>

#include <doctest/doctest.h>
#include <boost/asio/steady_timer.hpp>

#include <string>
#include <variant>
#include <vector>

using namespace conformance;
using concur::event_loop;
using concur::task;
using concur::task_group;

namespace {

task<int> value_after(concur::duration span, int value) {
    co_await concur::sleep_for(span);
    co_return value;
}
task<std::string> text_after(concur::duration span, std::string value) {
    co_await concur::sleep_for(span);
    co_return value;
}
task<void> fails_after(concur::duration span, int number) {
    co_await concur::sleep_for(span);
    throw custom_error(number);
}
/// Counts itself as alive while it runs, until it is cancelled.
task<void> for_ever(crowd& alive) {
    struct inside {
        explicit inside(crowd& c) : alive(c) { alive.enter(); }
        ~inside() { alive.leave(); }
        crowd& alive;
    } const here(alive);
    co_await concur::sleep_for(1h);
}
/// Ends some time after it was cancelled, without a value of its own.
task<void> slow_to_end(crowd& alive) {
    alive.enter();
    try {
        co_await concur::sleep_for(1h);
    } catch (const concur::task_cancelled&) {
    }
    co_await concur::sleep_for(5ms);
    alive.leave();
    throw concur::task_cancelled();
}
task<int> stubborn(int value, std::atomic<int>* begun = nullptr) {
    if (begun) ++*begun;
    try {
        co_await concur::sleep_for(1h);
    } catch (const concur::task_cancelled&) {
    }
    co_return value;
}

}  // namespace

TEST_CASE("structured 130: when_all gives values in argument order") {
    const watchdog guard;
    auto [a, b, c] = concur::run([]() -> task<std::tuple<int, std::string, std::monostate>> {
        auto all = concur::when_all(value_after(5ms, 1), text_after(1ms, "b"),
                                    []() -> task<void> { co_return; }());
        co_return co_await std::move(all);
    });
    CHECK(a == 1);
    CHECK(b == "b");
    CHECK(c == std::monostate());
    const auto many = concur::run([]() -> task<std::vector<int>> {
        std::vector<task<int>> tasks;
        for (int i = 0; i != 100; ++i) tasks.push_back(value_after(i % 7 * 1ms, i));
        co_return co_await concur::when_all(std::move(tasks));
    });
    CHECK(many == numbers(100));
    CHECK(concur::run([]() -> task<std::vector<int>> {
              co_return co_await concur::when_all(std::vector<task<int>>());
          }).empty());
}

TEST_CASE("structured 130: the first error cancels the others, waits for them, and is rethrown") {
    const watchdog guard;
    crowd alive;
    error_log log;
    const auto body = [&]() -> task<void> {
        try {
            co_await concur::when_all(slow_to_end(alive), fails_after(2ms, 1), for_ever(alive),
                                      fails_after(1h, 2));
        } catch (const custom_error& e) {
            CHECK(e.number == 1);
            CHECK(alive.inside() == 0);
            CHECK(alive.peak() == 2);
            throw;
        }
    };
    CHECK_THROWS_AS(concur::run({.on_error = std::ref(log)}, body), custom_error);
    CHECK(log.texts().empty());
}

TEST_CASE("structured: a second error goes to on_error") {
    const watchdog guard;
    error_log log;
    const auto late = []() -> task<void> {
        try {
            co_await concur::sleep_for(1h);
        } catch (const concur::task_cancelled&) {
            throw custom_error(2);
        }
    };
    const auto body = [&]() -> task<void> {
        co_await concur::when_all(late(), fails_after(1ms, 1));
    };
    CHECK_THROWS_AS(concur::run({.on_error = std::ref(log)}, body), custom_error);
    CHECK(log.texts() == std::vector<std::string>{"custom 2"});
}

TEST_CASE("structured 130: futures and Asio operations may join") {
    const watchdog guard;
    concur::thread_pool pool(1);
    const auto sum = concur::run(
        [](event_loop& loop, concur::thread_pool& p) -> task<int> {
            boost::asio::steady_timer timer(loop.context(), 1ms);
            auto [a, b, c] =
                co_await concur::when_all(value_after(1ms, 1), p.submit([] { return 2; }),
                                          timer.async_wait(boost::asio::deferred));
            co_return a + b;
        },
        std::ref(pool));
    CHECK(sum == 3);
}

TEST_CASE("structured 132: a cancelled when_all cancels its children and waits for them") {
    const watchdog guard;
    crowd alive;
    event_loop loop;
    auto f = loop.submit([&]() -> task<void> {
        try {
            co_await concur::when_all(for_ever(alive), slow_to_end(alive));
        } catch (const concur::task_cancelled&) {
            CHECK(alive.inside() == 0);
            throw;
        }
    });
    eventually([&] { return alive.inside() == 2; });
    f.request_stop();
    CHECK_THROWS_AS(f.get(), concur::task_cancelled);
    CHECK(alive.peak() == 2);
}

TEST_CASE("structured: a when_all that is cancelled, and all of whose children end with values") {
    const watchdog guard;
    event_loop loop;
    std::atomic<int> begun = 0;
    std::atomic<int> sum = 0;
    auto f = loop.submit([&]() -> task<void> {
        auto [a, b] = co_await concur::when_all(stubborn(1, &begun), stubborn(2, &begun));
        sum = a + b;
        co_await concur::sleep_for(1h);  // the cancel is thrown here
    });
    eventually([&] { return begun == 2; });  // one that has not begun would be cancelled
    f.request_stop();
    CHECK_THROWS_AS(f.get(), concur::task_cancelled);
    CHECK(sum == 3);
}

TEST_CASE("structured: when_any gives the first, value or error; the others are cancelled") {
    const watchdog guard;
    crowd alive;
    const auto first = concur::run([&]() -> task<std::size_t> {
        auto v = co_await concur::when_any(for_ever(alive), value_after(2ms, 7), for_ever(alive));
        CHECK(std::get<1>(v) == 7);
        CHECK(alive.inside() == 0);
        co_return v.index();
    });
    CHECK(first == 1);
    const auto failing = [&]() -> task<void> {
        co_await concur::when_any(for_ever(alive), fails_after(1ms, 3));
    };
    CHECK_THROWS_AS(concur::run(failing), custom_error);
    CHECK(alive.inside() == 0);
}

TEST_CASE("structured 138: with_timeout waits until the task has ended, then throws") {
    const watchdog guard;
    crowd alive;
    concur::run([&]() -> task<void> {
        const int made_it = co_await concur::with_timeout(1h, value_after(1ms, 4));
        CHECK(made_it == 4);
        try {
            co_await concur::with_timeout(2ms, slow_to_end(alive));
            CHECK(false);
        } catch (const concur::timeout_error&) {
            CHECK(alive.inside() == 0);
        }
        const int in_spite = co_await concur::with_timeout(2ms, stubborn(5));
        CHECK(in_spite == 5);
        try {
            co_await concur::with_timeout(1h, fails_after(1ms, 6));
            CHECK(false);
        } catch (const custom_error& e) {
            CHECK(e.number == 6);
        }
    });
}

TEST_CASE("structured 139: no time at all") {
    const watchdog guard;
    bool started = false;
    concur::thread_pool pool(1);
    concur::run([&]() -> task<void> {
        auto never = [&]() -> task<void> {
            started = true;
            co_return;
        };
        try {
            co_await concur::with_timeout(0s, never());
            CHECK(false);
        } catch (const concur::timeout_error&) {
        }
        CHECK_FALSE(started);
        auto done = pool.submit([] { return 8; });
        done.wait();
        const int value = co_await concur::with_timeout(0s, std::move(done));
        CHECK(value == 8);
    });
}

TEST_CASE("structured 141: nested limits; a foreign cancel stays a cancel") {
    const watchdog guard;
    concur::run([]() -> task<void> {
        try {
            co_await concur::with_timeout(2ms, concur::with_timeout(1h, value_after(1h, 1)));
            CHECK(false);
        } catch (const concur::timeout_error& e) {
            CHECK(std::string(e.what()).find("0.002") != std::string::npos);
        }
    });
    event_loop loop;
    auto f = loop.submit(
        []() -> task<int> { co_return co_await concur::with_timeout(1h, value_after(1h, 1)); });
    eventually([&] { return f.running(); });
    f.request_stop();
    CHECK(holds<concur::task_cancelled>(f.exception()));
}

TEST_CASE("structured: shield holds a cancel back") {
    const watchdog guard;
    event_loop loop;
    std::atomic<int> value = 0;
    std::atomic<bool> beyond = false;
    gate started;
    auto f = loop.submit([&]() -> task<void> {
        started.open();
        value = co_await concur::shield(value_after(10ms, 9));
        co_await concur::yield();
        beyond = true;
    });
    started.wait();
    f.request_stop();
    CHECK_THROWS_AS(f.get(), concur::task_cancelled);
    CHECK(value == 9);
    CHECK_FALSE(beyond);
}

TEST_CASE("task_group: all are joined; arguments live as long as the tasks") {
    const watchdog guard;
    std::vector<int> ended;
    const auto child = [&ended](std::string text, int k) -> task<int> {
        co_await concur::sleep_for((5 - k) * 1ms);
        ended.push_back(k + static_cast<int>(text.size()) - 30);
        co_return k;
    };
    concur::run([&]() -> task<void> {
        const auto body = [&](task_group& g) -> task<void> {
            for (int k = 0; k != 5; ++k) g.start(child, std::string(30, 'x'), k);
            g.start(value_after(1ms, 1));
            co_return;
        };
        co_await concur::with_task_group(body);
        CHECK(ended.size() == 5);
    });
}

TEST_CASE("task_group 133: a failure cancels the others and the body, and is thrown once") {
    const watchdog guard;
    crowd alive;
    concur::run([&]() -> task<void> {
        const auto body = [&](task_group& g) -> task<void> {
            g.start(for_ever, std::ref(alive));
            g.start(slow_to_end, std::ref(alive));
            g.start(fails_after, 2ms, 5);
            co_await for_ever(alive);
        };
        try {
            co_await concur::with_task_group(body);
            CHECK(false);
        } catch (const custom_error& e) {
            CHECK(e.number == 5);
        }
        CHECK(alive.inside() == 0);
        CHECK(alive.peak() == 3);
        const auto failing_body = [&](task_group& g) -> task<void> {
            g.start(for_ever, std::ref(alive));
            co_await concur::yield();
            throw custom_error(6);
        };
        try {
            co_await concur::with_task_group(failing_body);
            CHECK(false);
        } catch (const custom_error& e) {
            CHECK(e.number == 6);
        }
        CHECK(alive.inside() == 0);
    });
}

TEST_CASE("task_group 133: several failures are thrown as one error that holds them all") {
    const watchdog guard;
    std::atomic<int> reported = 0;
    event_loop loop({.on_error = [&](const std::exception_ptr&) { ++reported; }});
    auto f = loop.submit([&]() -> task<void> {
        const auto fails_when_cancelled = [](int number) -> task<void> {
            try {
                co_await concur::sleep_for(1h);
            } catch (const concur::task_cancelled&) {
            }
            throw custom_error(number);
        };
        const auto inner = [&](task_group& g) -> task<void> {
            for (const int number : {1, 2}) g.start(fails_when_cancelled, number);
            co_return;
        };
        const auto body = [&](task_group& g) -> task<void> {
            g.start([&]() -> task<void> { co_await concur::with_task_group(inner); });
            g.start(fails_when_cancelled, 3);
            co_await concur::sleep_for(2ms);
            throw std::runtime_error("the body");
        };
        co_await concur::with_task_group(body);
    });
    try {
        f.get();
        CHECK(false);
    } catch (const concur::task_group_error& e) {
        REQUIRE(e.errors().size() == 3);
        CHECK_THROWS_WITH_AS(std::rethrow_exception(e.errors()[0]), "the body", std::runtime_error);
        int threes = 0;
        int groups = 0;
        for (const auto& problem : e.errors()) {
            try {
                std::rethrow_exception(problem);
            } catch (const custom_error& own) {
                threes += own.number == 3;
            } catch (const concur::task_group_error& nested) {
                groups += nested.errors().size() == 2;
            } catch (const std::runtime_error&) {
            }
        }
        CHECK(threes == 1);
        CHECK(groups == 1);
        const std::string text = e.what();
        CHECK(text.find("3 tasks of a task_group failed: the body; ") == 0);
    }
    CHECK(reported == 0);
}

TEST_CASE("task_group 134: cancelled from outside; a failure goes before it") {
    const watchdog guard;
    event_loop loop;
    crowd alive;
    auto f = loop.submit([&]() -> task<void> {
        const auto body = [&](task_group& g) -> task<void> {
            g.start(for_ever, std::ref(alive));
            co_await for_ever(alive);
        };
        co_await concur::with_task_group(body);
    });
    eventually([&] { return alive.inside() == 2; });
    f.request_stop();
    CHECK_THROWS_AS(f.get(), concur::task_cancelled);
    CHECK(alive.inside() == 0);

    std::atomic<int> caught = 0;
    std::atomic<bool> running = false;
    auto g = loop.submit([&]() -> task<void> {
        const auto fails_when_cancelled = [&]() -> task<void> {
            running = true;
            try {
                co_await concur::sleep_for(1h);
            } catch (const concur::task_cancelled&) {
            }
            throw custom_error(7);
        };
        const auto body = [&](task_group& group) -> task<void> {
            group.start(fails_when_cancelled);
            co_return;
        };
        try {
            co_await concur::with_task_group(body);
        } catch (const custom_error& e) {
            caught = e.number;
        }
        co_await concur::sleep_for(1h);
    });
    eventually([&] { return running.load(); });
    g.request_stop();
    CHECK_THROWS_AS(g.get(), concur::task_cancelled);
    CHECK(caught == 7);
}

TEST_CASE("task_group 135: groups in groups") {
    const watchdog guard;
    crowd alive;
    concur::run([&]() -> task<void> {
        const auto inner = [&](task_group& g) -> task<void> {
            g.start(for_ever, std::ref(alive));
            g.start(fails_after, 3ms, 1);
            co_return;
        };
        const auto scope = [&]() -> task<void> { co_await concur::with_task_group(inner); };
        const auto outer = [&](task_group& g) -> task<void> {
            g.start(scope);
            g.start(for_ever, std::ref(alive));
            co_return;
        };
        try {
            co_await concur::with_task_group(outer);
            CHECK(false);
        } catch (const custom_error& e) {
            CHECK(e.number == 1);
        }
        CHECK(alive.inside() == 0);
    });
}

TEST_CASE("task_group 137: cancel() ends it quietly, also before anything has run") {
    const watchdog guard;
    crowd alive;
    concur::run([&]() -> task<void> {
        const auto at_once = [&](task_group& g) -> task<void> {
            g.start(for_ever, std::ref(alive));
            g.cancel();
            g.start(for_ever, std::ref(alive));
            co_return;
        };
        co_await concur::with_task_group(at_once);
        CHECK(alive.peak() == 0);
        const auto later = [&](task_group& g) -> task<void> {
            g.start(for_ever, std::ref(alive));
            co_await concur::sleep_for(2ms);
            g.cancel();
        };
        co_await concur::with_task_group(later);
        CHECK(alive.peak() == 1);
        CHECK(alive.inside() == 0);
    });
}

TEST_CASE("run 129: value, exception, inside a loop, leftovers") {
    const watchdog guard;
    CHECK(concur::run(value_after, 1ms, 3) == 3);
    CHECK(concur::run([](int x) { return x + 1; }, 3) == 4);
    CHECK_THROWS_AS(concur::run(fails_after, 1ms, 3), custom_error);
    const auto inside = []() -> task<void> {
        concur::run(value_after, 1ms, 3);
        co_return;
    };
    CHECK_THROWS_AS(concur::run(inside), concur::would_deadlock);
    crowd alive;
    error_log log;
    concur::run({.on_error = std::ref(log)}, [&](event_loop& loop) -> task<void> {
        loop.post(for_ever, std::ref(alive));
        loop.post(slow_to_end, std::ref(alive));
        auto fails_at_the_end = []() -> task<void> {
            try {
                co_await concur::sleep_for(1h);
            } catch (const concur::task_cancelled&) {
            }
            throw custom_error(8);
        };
        loop.post(fails_at_the_end);
        co_await concur::sleep_for(1ms);
        CHECK(alive.inside() == 2);
    });
    CHECK(alive.inside() == 0);
    CHECK(log.texts() == std::vector<std::string>{"custom 8"});
}

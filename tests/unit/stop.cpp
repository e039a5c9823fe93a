// SPDX-License-Identifier: BSL-1.0
// A request to stop reaches the task, whether it comes before or after the task asks for a token.
#include "../conformance/watchdog.hpp"
#include "state_of_a_test.hpp"

#include <concur/detail/task/stop.hpp>

#include <doctest/doctest.h>

#include <barrier>
#include <optional>
#include <stop_token>
#include <thread>

using namespace concur::detail;
using unit::test_state;

TEST_CASE("stop: outside of tasks there is no token") {
    CHECK_FALSE(current_stop_token().stop_possible());
    CHECK_FALSE(current_stop_requested());
}

TEST_CASE("stop: asked before the token, after it, and between") {
    test_state s;
    const task_scope scope(s);
    CHECK_FALSE(current_stop_requested());
    const auto token = current_stop_token();
    CHECK(token.stop_possible());
    CHECK_FALSE(token.stop_requested());
    CHECK(current_stop_token() == token);
    stop_registry::ask(s);
    CHECK(token.stop_requested());
    CHECK(current_stop_requested());
    CHECK(current_stop_token().stop_requested());
    test_state other;
    stop_registry::ask(other);
    const task_scope inner(other);
    CHECK(current_stop_requested());
    CHECK(current_stop_token().stop_requested());
}

TEST_CASE("stop: only the task that was asked, also among nested ones") {
    test_state outer, inner;
    const task_scope first(outer);
    const auto token = current_stop_token();
    {
        const task_scope second(inner);
        const auto nested = current_stop_token();
        stop_registry::ask(outer);
        CHECK(token.stop_requested());
        CHECK_FALSE(nested.stop_requested());
        CHECK_FALSE(current_stop_requested());
    }
    CHECK(current_stop_requested());
}

TEST_CASE("stop: a linked scope listens to both") {
    for (const bool asks_outer : {false, true}) {
        test_state outer, inner;
        const task_scope first(outer);
        const task_scope second(inner, {}, nullptr, true);
        const auto token = current_stop_token();
        stop_registry::ask(asks_outer ? outer : inner);
        CHECK(token.stop_requested());
        CHECK(current_stop_requested());
    }
}

TEST_CASE("stop: after the scope the source is forgotten") {
    test_state s;
    std::stop_token token;
    {
        const task_scope scope(s);
        token = current_stop_token();
    }
    stop_registry::ask(s);
    CHECK_FALSE(token.stop_requested());
}

TEST_CASE("stop: callbacks run, and may ask again") {
    test_state s;
    const task_scope scope(s);
    int calls = 0;
    const std::stop_callback callback(current_stop_token(), [&] {
        ++calls;
        stop_registry::ask(s);
    });
    stop_registry::ask(s);
    CHECK(calls == 1);
}

TEST_CASE("stop: a request that races with the token is not lost") {
    const conformance::watchdog guard;
    constexpr std::size_t rounds = unit::load(20'000);
    std::optional<test_state> s;
    std::barrier start(2), end(2);
    int lost = 0;
    {
        const std::jthread asker([&] {
            for (std::size_t round = 0; round != rounds; ++round) {
                start.arrive_and_wait();
                stop_registry::ask(*s);
                end.arrive_and_wait();
            }
        });
        for (std::size_t round = 0; round != rounds; ++round) {
            s.emplace();
            const task_scope scope(*s);
            start.arrive_and_wait();
            const auto token = current_stop_token();
            end.arrive_and_wait();
            lost += !token.stop_requested();
        }
    }
    CHECK(lost == 0);
}

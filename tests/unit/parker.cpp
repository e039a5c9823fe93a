// SPDX-License-Identifier: BSL-1.0
// The parker: a wake-up that comes first is kept, one that comes late wakes.
#include "../conformance/watchdog.hpp"

#include <concur/detail/sync/parker.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <thread>

using concur::detail::futex_calls;
using concur::detail::parker;
using concur::detail::steady_clock;
using namespace std::chrono_literals;

TEST_CASE("parker: there is no token at first") {
    parker p;
    CHECK_FALSE(p.take());
    CHECK_FALSE(p.park(steady_clock::now()));
}

TEST_CASE("parker: a token that comes first is kept, once, without a system call") {
    parker p;
    const auto before = futex_calls();
    p.unpark();
    p.unpark();
    CHECK(p.park());
    CHECK_FALSE(p.take());
    p.unpark();
    CHECK(p.take());
    CHECK(futex_calls() == before);
}

TEST_CASE("parker: a deadline ends the wait, not before its time") {
    parker p;
    const auto start = steady_clock::now();
    CHECK_FALSE(p.park(start + 20ms));
    CHECK(steady_clock::now() - start >= 20ms);
    p.unpark();
    CHECK(p.park(steady_clock::now() + 1h));
}

TEST_CASE("parker: a deadline that has passed still takes a token that is there") {
    parker p;
    p.unpark();
    CHECK(p.park(steady_clock::now() - 1s));
    CHECK_FALSE(p.park(steady_clock::now() - 1s));
}

TEST_CASE("parker: unpark() wakes a sleeper, and what was written before is seen") {
    const conformance::watchdog guard;
    parker p;
    int written = 0;
    std::jthread other([&] {
        written = 7;
        p.unpark();
    });
    CHECK(p.park());
    CHECK(written == 7);
}

TEST_CASE("parker: two threads hand a token to and fro, and none is lost") {
    const conformance::watchdog guard;
    constexpr int rounds = 20'000;
    parker ping, pong;
    int turns = 0;  // not atomic: the tokens order it
    std::jthread other([&] {
        for (int i = 0; i != rounds; ++i) {
            ping.park();
            ++turns;
            pong.unpark();
        }
    });
    for (int i = 0; i != rounds; ++i) {
        ++turns;
        ping.unpark();
        // With a deadline every other time: both ways of sleeping must keep the token.
        while (!(i % 2 ? pong.park() : pong.park(steady_clock::now() + 100us))) {
        }
    }
    CHECK(turns == 2 * rounds);
}

TEST_CASE("spin_until: says whether it became true, and gives up") {
    int looks = 0;
    CHECK(concur::detail::spin_until([&] { return ++looks == 40; }, 1));
    looks = 0;
    CHECK_FALSE(concur::detail::spin_until([&] { return ++looks < 0; }, 2));
    CHECK(looks == 3 * 32);
}

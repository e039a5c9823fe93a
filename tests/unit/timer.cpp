// SPDX-License-Identifier: BSL-1.0
// The timers behind time-outs: each is called at its time, or never again once it is disarmed.
#include "../conformance/tools.hpp"
#include "../conformance/watchdog.hpp"
#include "load.hpp"

#include <concur/detail/sync/timer.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using concur::detail::scoped_timer;
using concur::detail::steady_clock;
using concur::detail::time_point;
using concur::detail::timer_service;
using concur::detail::timer_target;
using conformance::eventually;
using conformance::gate;
using conformance::watchdog;
using namespace std::chrono_literals;

namespace {

struct target final : timer_target {
    explicit target(std::function<void()> f) : call(std::move(f)) {}
    concur::detail::timer_follow_up expired() noexcept override {
        call();
        return {};
    }
    std::function<void()> call;
};

/// Armed by arm(), disarmed when told so or at the end.
class alarm_clock {
public:
    void arm(time_point when, target& t) {
        entry_.when = when;
        entry_.target = &t;
        timer_service::instance().arm(entry_);
    }
    void disarm() { timer_service::instance().disarm(entry_); }

private:
    timer_service::entry entry_{};
};

std::size_t timer_threads() {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
        std::string name;
        std::getline(std::ifstream(entry.path() / "comm"), name);
        count += name == "concur timer";
    }
    return count;
}

}  // namespace

TEST_CASE("timer: calls once, not before its time") {
    const watchdog guard;
    const auto when = steady_clock::now() + 20ms;
    std::atomic<int> calls = 0;
    std::atomic<bool> early = false;
    target t([&] {
        early = steady_clock::now() < when;
        ++calls;
    });
    alarm_clock timer;
    timer.arm(when, t);
    eventually([&] { return calls != 0; });
    timer.disarm();
    CHECK(calls == 1);
    CHECK_FALSE(early);
}

TEST_CASE("timer: in the order of their times, whatever the order of arming") {
    const watchdog guard;
    std::mutex mutex;
    std::vector<int> order;
    std::atomic<int> calls = 0;
    const auto note = [&](int i) {
        return [&, i] {
            {
                const std::lock_guard lock(mutex);
                order.push_back(i);
            }
            ++calls;
        };
    };
    target a(note(0)), b(note(1)), c(note(2)), d(note(3));
    const auto now = steady_clock::now();
    const scoped_timer fourth(now + 30ms, &d);
    const scoped_timer second(now + 10ms, &b);
    const scoped_timer third(now + 20ms, &c);
    const scoped_timer first(now - 1s, &a);
    eventually([&] { return calls == 4; });
    CHECK(order == std::vector{0, 1, 2, 3});
}

TEST_CASE("timer: one that is earlier than all others does not wait for them") {
    const watchdog guard;
    std::atomic<bool> called = false;
    target far([] {}), near([&] { called = true; });
    const scoped_timer later(steady_clock::now() + 1h, &far);
    const scoped_timer soon(steady_clock::now(), &near);
    eventually([&] { return called.load(); });
    CHECK(called);
}

TEST_CASE("timer: disarmed is not called any more") {
    const watchdog guard;
    std::atomic<int> calls = 0;
    std::atomic<bool> last = false;
    target t([&] { ++calls; }), end([&] { last = true; });
    const auto when = steady_clock::now() + 30ms;
    {
        const scoped_timer gone(when, &t);
    }
    const scoped_timer later(when + 1ms, &end);  // called after t would have been
    eventually([&] { return last.load(); });
    CHECK(calls == 0);
}

TEST_CASE("timer: disarm waits for a call that is under way") {
    const watchdog guard;
    gate started, go_on;
    std::atomic<bool> finished = false, disarmed = false, too_early = false;
    target t([&] {
        started.open();
        go_on.wait();
        too_early = disarmed.load();
        finished = true;
    });
    alarm_clock timer;
    timer.arm(steady_clock::now(), t);
    started.wait();
    std::jthread other([&] {
        timer.disarm();
        disarmed = true;
        CHECK(finished);
    });
    // Meanwhile other timers may come and go: the lock is free during a call.
    target unused([] {});
    {
        const scoped_timer meanwhile(steady_clock::now() + 1h, &unused);
    }
    CHECK_FALSE(disarmed);
    go_on.open();
    other.join();
    CHECK(finished);
    CHECK_FALSE(too_early);
}

TEST_CASE("timer: a call may arm and disarm others") {
    const watchdog guard;
    std::atomic<bool> second = false;
    alarm_clock next;
    target b([&] { second = true; }), unused([] {});
    target a([&] {
        {
            const scoped_timer other(steady_clock::now() + 1h, &unused);
        }
        next.arm(steady_clock::now(), b);
    });
    const scoped_timer timer(steady_clock::now(), &a);
    eventually([&] { return second.load(); });
    next.disarm();
    CHECK(second);
}

TEST_CASE("timer: scoped_timer without a time or a target is nothing") {
    target t([] { FAIL("called"); });
    const scoped_timer never(time_point::max(), &t);
    const scoped_timer nobody(steady_clock::now(), nullptr);
}

TEST_CASE("timer: many at once, from several threads, some called and some not") {
    const watchdog guard;
    constexpr std::size_t threads = 3;
    const auto rounds = unit::load(300);
    std::atomic<std::size_t> calls = 0;
    target counts([&] { ++calls; }), never([] { std::abort(); });
    {
        const auto arms = [&](std::size_t thread) {
            for (std::size_t round = 0; round != rounds; ++round) {
                const auto before = steady_clock::now();
                std::deque<alarm_clock> clocks(100);
                for (std::size_t i = 0; i != clocks.size(); ++i) {
                    const bool soon = (i + thread) % 2;
                    const auto when = soon ? std::chrono::microseconds(i * 37 % 100) : 1h;
                    clocks[i].arm(before + when, soon ? counts : never);
                }
                // One in two is disarmed before its time, the others whenever they are called.
                for (std::size_t i = 0; i != clocks.size(); ++i) {
                    if ((i + thread) % 2 == 0) clocks[i].disarm();
                }
                const scoped_timer last(before, &counts);
                while (calls < 51) std::this_thread::yield();
                for (auto& clock : clocks) clock.disarm();
            }
        };
        const std::jthread a(arms, 0), b(arms, 1), c(arms, 2);
    }
    CHECK(calls >= 51);
    CHECK(calls <= threads * rounds * 51);
}

TEST_CASE("timer: its thread goes away after the last timer, and comes back for the next") {
    const watchdog guard;
    eventually([] { return timer_threads() == 0; });
    for (int round = 0; round != 2; ++round) {
        std::atomic<bool> called = false;
        target t([&] { called = true; });
        const scoped_timer timer(steady_clock::now(), &t);
        eventually([&] { return called.load(); });
        // It has named itself by then, and stays for a moment, for the next one.
        eventually([] { return timer_threads() == 0; });
    }
    target unused([] {});
    const scoped_timer one(steady_clock::now() + 1h, &unused),
        two(steady_clock::now() + 1h, &unused);
    eventually([] { return timer_threads() != 0; });
    CHECK(timer_threads() == 1);
}

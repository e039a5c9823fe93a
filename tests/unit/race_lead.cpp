// SPDX-License-Identifier: BSL-1.0
// Who sleeps on a doorbell: leaders, listeners, and those who take it from each other.
#include "load.hpp"

#include "../conformance/watchdog.hpp"

#include <concur/detail/ipc/lead.hpp>

#include <doctest/doctest.h>

#include <poll.h>

#include <atomic>
#include <chrono>
#include <thread>

using concur::detail::bell_lead;
using concur::detail::doorbell;
using concur::detail::make_event;
using concur::detail::signal_event;

namespace {

bool readable(int fd, int ms = 0) {
    pollfd one{fd, POLLIN, 0};
    return poll(&one, 1, ms) == 1;
}

}  // namespace

TEST_CASE("lead: one at a time, and a leader takes it from a listener") {
    doorbell bell{};
    bell_lead lead;
    const auto event = make_event();
    const int loops[2] = {};
    CHECK(lead.listen(bell, &loops[0]));
    CHECK_FALSE(lead.listen(bell, &loops[1]));
    CHECK_FALSE(lead.stop_listening(bell, &loops[1], false, event.get()));
    CHECK(lead.take() == bell_lead::taken::from_listener);
    CHECK(lead.take() == bell_lead::taken::no);
    CHECK_FALSE(lead.listen(bell, &loops[1]));
    bell.announce();
    CHECK_FALSE(lead.stop_listening(bell, &loops[0], true, event.get()));
    CHECK(bell.asleep == doorbell::futex);  // the leader's word still stands
    lead.leave();
    CHECK(lead.take() == bell_lead::taken::yes);
    lead.leave();
    CHECK(lead.listen(bell, &loops[1]));
    CHECK(lead.stop_listening(bell, &loops[1], false, event.get()));
    CHECK(bell.asleep == doorbell::nobody);
    CHECK(lead.take() == bell_lead::taken::yes);
}

TEST_CASE("doorbell: the event wakes who polls it, and no ringer is left in doubt") {
    doorbell bell{};
    bell_lead lead;
    const auto event = make_event();
    const int loop = 0;
    CHECK(bell.ring());
    CHECK(bell.ring(event.get()));
    CHECK_FALSE(readable(event.get()));
    CHECK(lead.listen(bell, &loop));
    CHECK(bell.ring(event.get()));
    CHECK(readable(event.get()));
    CHECK(lead.stop_listening(bell, &loop, true, event.get()));
    CHECK_FALSE(readable(event.get()));
    CHECK(lead.listen(bell, &loop));
    CHECK_FALSE(bell.ring());  // without the event
    CHECK(bell.ring());        // once is enough
    CHECK(lead.stop_listening(bell, &loop, false, event.get()));
    CHECK(lead.listen(bell, &loop));
    bell.asleep = doorbell::nobody;  // as a ringer leaves it that dies before it wakes anybody
    bell.rouse(event.get());
    CHECK(readable(event.get()));
    CHECK(lead.stop_listening(bell, &loop, true, event.get()));
    CHECK_FALSE(readable(event.get()));
}

// One change after the other, each acknowledged by whoever reads it: a lost wake-up is a hang.
TEST_CASE("lead: a listener and two leaders that come and go, and no wake-up is lost") {
    const conformance::watchdog guard;
    const std::size_t rounds = unit::load(40'000);
    doorbell bell{};
    bell_lead lead;
    const auto event = make_event();
    const auto own = make_event();  // as Asio's own, by which others wake the loop
    std::atomic<std::size_t> changes = 0, seen = 0;
    std::atomic<std::size_t> stolen = 0, by_event = 0;
    const auto over = [&] { return seen.load() == rounds; };
    const auto read_all = [&] {
        auto const now = changes.load();
        auto before = seen.load();
        while (before < now && !seen.compare_exchange_weak(before, now)) {
        }
        return before < now || over();
    };
    {
        const std::jthread listener([&] {
            while (!over()) {
                const bool listens = lead.listen(bell, &lead);
                // Else a leader is there, or was: it wakes us when it goes.
                bool woken = false;
                if (!listens || !read_all()) {
                    pollfd both[] = {{event.get(), POLLIN, 0}, {own.get(), POLLIN, 0}};
                    while (poll(both, 2, -1) < 0) {
                    }
                    woken = both[0].revents != 0;
                    if (both[1].revents != 0) concur::detail::take_back_event(own.get());
                }
                if (listens && lead.stop_listening(bell, &lead, woken, event.get()) && woken)
                    ++by_event;
                // Whoever took the bell has seen what was there until it left, not what comes.
                read_all();
            }
        });
        const auto leads = [&](int who) {
            for (std::size_t i = 0; !over(); ++i) {
                const auto taken = lead.take();
                if (taken == bell_lead::taken::no) {
                    std::this_thread::yield();
                    continue;
                }
                if (taken == bell_lead::taken::from_listener) ++stolen;
                const auto soon = concur::detail::deadline_after(
                    std::chrono::nanoseconds((i + static_cast<std::size_t>(who)) % 40'000));
                bell.wait(read_all, soon);
                lead.leave();
                signal_event(own.get());
                // The listener has its turn.
                if (i % 2 == 0) std::this_thread::sleep_for(std::chrono::microseconds(i % 100));
            }
            signal_event(own.get());
        };
        const std::jthread first(leads, 0), second(leads, 1);
        for (std::size_t i = 1; i <= rounds; ++i) {
            changes.store(i);
            bell.ring(event.get());
            while (seen.load() < i) std::this_thread::yield();
        }
        bell.rouse(event.get());
        signal_event(own.get());
    }
    MESSAGE("taken away: " << stolen.load() << ", woken by the event: " << by_event.load());
    CHECK(stolen > 0);
    CHECK(by_event > 0);
}

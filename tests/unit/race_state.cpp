// SPDX-License-Identifier: BSL-1.0
// One task, threads that race for it: a worker that claims and publishes, one that cancels, and
// waiters that come and go. One of them wins, each waiter is told, the state goes exactly once.
#include "../conformance/watchdog.hpp"
#include "state_of_a_test.hpp"

#include <concur/detail/sync/parker.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <barrier>
#include <memory>
#include <optional>
#include <thread>

using namespace concur::detail;
using conformance::watchdog;
using unit::test_state;

namespace {

struct wakes : waiter {
    explicit wakes(parker& p)
        : waiter(when::under_lock,
                 [](waiter& w) noexcept {
                     auto& self = static_cast<wakes&>(w);
                     ++self.told;
                     self.sleeper.unpark();
                 }),
          sleeper(p) {}
    parker& sleeper;
    int told = 0;  // not atomic: the list's lock orders it
};

}  // namespace

TEST_CASE("state: claim against cancel against waiters") {
    const watchdog guard("a waiter that is not told");
    constexpr std::size_t rounds = unit::load(20'000);
    constexpr std::uint64_t references = 4;
    std::optional<test_state> s;
    std::atomic<int> ran = 0, cancelled = 0, told_wrongly = 0;
    int not_destroyed_once = 0, not_decided_once = 0;
    std::barrier start(5), end(5);
    const auto each_round = [&](auto act) {
        return [&, act] {
            for (std::size_t round = 0; round != rounds; ++round) {
                start.arrive_and_wait();
                act(round);
                end.arrive_and_wait();
            }
        };
    };
    {
        const std::jthread worker(each_round([&](std::size_t) {
            if (s->claim(3)) {
                ++ran;
                s->publish(phase_value);
            } else {
                s->release();
            }
        }));
        const std::jthread canceller(each_round([&](std::size_t round) {
            if (round % 2 && s->cancel()) ++cancelled;
            s->release();
        }));
        const auto wait = [&](bool leaves) {
            return each_round([&, leaves](std::size_t) {
                parker sleeper;
                wakes node(sleeper);
                if (s->add_waiter(node)) {
                    const bool woken = leaves ? sleeper.take() : sleeper.park();
                    if (woken && !s->done()) ++told_wrongly;
                    s->remove_waiter(node);
                    if (node.told > 1 || (woken && node.told != 1)) ++told_wrongly;
                } else if (!s->done()) {
                    ++told_wrongly;
                }
                s->release();
            });
        };
        const std::jthread stays(wait(false)), goes(wait(true));
        for (std::size_t round = 0; round != rounds; ++round) {
            s.emplace(0u, references);
            const int before = ran + cancelled;
            start.arrive_and_wait();
            end.arrive_and_wait();
            not_decided_once += ran + cancelled != before + 1;
            not_destroyed_once += s->destroyed != 1;
        }
    }
    MESSAGE("ran: " << ran.load() << ", cancelled: " << cancelled.load());
    CHECK(told_wrongly == 0);
    CHECK(not_decided_once == 0);
    CHECK(not_destroyed_once == 0);
}

TEST_CASE("state: seal against a time-out, one of them wins") {
    const watchdog guard;
    constexpr std::size_t rounds = unit::load(20'000);
    std::optional<test_state> s;
    int sealed_rounds = 0, expired_rounds = 0, wrong = 0;
    std::atomic<bool> expired = false;
    std::barrier start(2), end(2);
    {
        const std::jthread clock([&] {
            for (std::size_t round = 0; round != rounds; ++round) {
                start.arrive_and_wait();
                expired = s->expire();
                end.arrive_and_wait();
            }
        });
        for (std::size_t round = 0; round != rounds; ++round) {
            s.emplace(0u, 1u);
            s->claim(0);
            start.arrive_and_wait();
            const bool won = s->seal();
            end.arrive_and_wait();
            wrong += won == expired;
            ++(won ? sealed_rounds : expired_rounds);
            won ? s->publish(phase_value) : s->release();
            wrong += s->destroyed != 1;
        }
    }
    MESSAGE("sealed: " << sealed_rounds << ", expired: " << expired_rounds);
    CHECK(wrong == 0);
}

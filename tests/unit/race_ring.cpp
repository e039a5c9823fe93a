// SPDX-License-Identifier: BSL-1.0
// The ring and the doorbell with a pool thread that offers, revokes and reads, and a worker thread:
// each call is replied to once or was revoked and never ran, and nobody sleeps for ever.
// (ThreadSanitizer sees nothing between processes; hence threads.)
#include "../conformance/watchdog.hpp"
#include "load.hpp"

#include <concur/detail/ipc/doorbell.hpp>
#include <concur/detail/ipc/ring.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

using concur::detail::doorbell;
using concur::detail::mix64;

namespace {

/// `pause`: called by a side that has nothing to do, with the test whether there is something.
template <std::size_t Slots, class Pause, class Ring>
void run(std::size_t total, Pause&& pause, Ring&& ring_bell, unsigned revoke_of_16) {
    auto ring = std::make_unique<concur::detail::basic_ring_memory<Slots>>();
    std::vector<int> runs(total + 1);  // not atomic: the ring orders it
    std::vector<int> revoked(total + 1);
    concur::detail::basic_call_side<Slots> pool(*ring);
    std::atomic<bool> over = false;
    std::size_t wrong_calls = 0;
    std::jthread other([&] {
        concur::detail::basic_work_side<Slots> worker(*ring);
        const concur::detail::call_slot* call = nullptr;
        for (;;) {
            pause(1, [&] { return (call = worker.take()) != nullptr || over; });
            if (call == nullptr) return;
            const auto position = call->position();
            ++runs[position];
            std::uint64_t value = 0;
            std::memcpy(&value, &call->payload[32], sizeof value);
            if (call->function != mix64(position) || value != ~position) ++wrong_calls;
            worker.reply(position, call->kind, 8,
                         [&](std::byte* place) { std::memcpy(place, &call->function, 8); });
            call = nullptr;
            ring_bell(0);
        }
    });
    std::size_t wrong_replies = 0;
    std::size_t replies = 0;
    std::minstd_rand random(1);
    const auto read = [&] {
        bool any = false;
        while (const auto* reply = pool.next_reply()) {
            std::uint64_t value = 0;
            std::memcpy(&value, reply->payload, sizeof value);
            const auto position = pool.oldest();
            if (value != mix64(position) || reply->kind != position % 1000) ++wrong_replies;
            pool.pop_reply();
            ++replies;
            any = true;
        }
        return any;
    };
    while (pool.next() <= total || pool.oldest() != pool.next()) {
        auto batch = random() % Slots + 1;
        for (; batch > 0 && pool.next() <= total && !pool.full(); --batch) {
            const auto position = pool.next();
            pool.offer(mix64(position), static_cast<std::uint32_t>(position % 1000), 40,
                       [&](std::byte* place) {
                           const auto value = ~position;
                           std::memcpy(place + 32, &value, sizeof value);
                       });
            if (random() % 16 < revoke_of_16 && pool.revoke(position)) ++revoked[position];
        }
        ring_bell(1);
        if (random() % 16 < revoke_of_16 && pool.oldest() != pool.next()) {
            const auto position = pool.oldest() + random() % (pool.next() - pool.oldest());
            if (pool.revoke(position)) ++revoked[position];
        }
        if (!read() && (pool.full() || pool.next() > total) && pool.oldest() != pool.next()) {
            pause(0, [&] { return pool.next_reply() != nullptr; });
        }
    }
    over = true;
    ring_bell(1);
    other.join();
    const auto revocations =
        static_cast<std::size_t>(std::count(revoked.begin(), revoked.end(), 1));
    MESSAGE("revoked: " << revocations << " of " << total);
    CHECK(wrong_calls == 0);
    CHECK(wrong_replies == 0);
    CHECK(replies + revocations == total);
    std::size_t wrong = 0;
    for (std::size_t i = 1; i <= total; ++i) wrong += runs[i] + revoked[i] != 1;
    CHECK(wrong == 0);
    CHECK((revoke_of_16 == 0 || revocations > 0));
}

}  // namespace

TEST_CASE("ring: two threads that poll, with revocations") {
    const conformance::watchdog guard;
    const auto poll = [](int, auto&& ready) {
        while (!ready()) std::this_thread::yield();
    };
    const auto no_bell = [](int) {};
    SUBCASE("few slots") { run<2>(unit::load(300'000), poll, no_bell, 4); }
    SUBCASE("some slots") { run<16>(unit::load(1'000'000), poll, no_bell, 4); }
    SUBCASE("as in use") { run<1024>(unit::load(2'000'000), poll, no_bell, 1); }
    SUBCASE("without revocations") { run<1024>(unit::load(2'000'000), poll, no_bell, 0); }
}

TEST_CASE("ring: two threads that sleep on doorbells, and no wake-up is lost") {
    const conformance::watchdog guard;
    doorbell bells[2] = {};
    const auto sleep = [&](int who, auto&& ready) { bells[who].wait(ready); };
    const auto ring_bell = [&](int whom) { bells[whom].ring(); };
    SUBCASE("few slots") { run<2>(unit::load(60'000), sleep, ring_bell, 4); }
    SUBCASE("as in use") { run<1024>(unit::load(600'000), sleep, ring_bell, 1); }
}

TEST_CASE("doorbell: two threads ring a third, whose deadlines pass now and then") {
    const conformance::watchdog guard;
    const auto each = unit::load(400'000);
    doorbell bell{};
    std::atomic<std::size_t> changes[2] = {};
    std::size_t timeouts = 0;
    {
        const auto change = [&](std::size_t me) {
            for (std::size_t i = 0; i != each; ++i) {
                changes[me].store(i + 1, std::memory_order_release);  // [test] the doorbell orders
                bell.ring();
                if (i % 64 == 0) std::this_thread::yield();
            }
        };
        const std::jthread a(change, 0), b(change, 1);
        std::size_t seen[2] = {};
        const auto look = [&](std::size_t whose) {
            return changes[whose].load(std::memory_order_acquire);  // [test]
        };
        for (std::size_t round = 0; seen[0] != each || seen[1] != each; ++round) {
            const auto ready = [&] { return look(0) != seen[0] || look(1) != seen[1]; };
            if (round % 4 == 0) {
                const auto soon =
                    concur::detail::deadline_after(std::chrono::nanoseconds(round % 30'000));
                if (!bell.wait(ready, soon)) ++timeouts;
            } else {
                CHECK(bell.wait(ready));
            }
            seen[0] = look(0);
            seen[1] = look(1);
        }
    }
    MESSAGE("time-outs: " << timeouts);
    bell.asleep = 1;  // as a dead sleeper leaves it: one useless call
    const auto before = concur::detail::futex_calls();
    bell.ring();
    bell.ring();
    CHECK(concur::detail::futex_calls() == before + 1);
}

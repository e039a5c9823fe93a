// SPDX-License-Identifier: BSL-1.0
// No wake-up is lost: single tasks over a pool that falls asleep again and again, loops that borrow
// the places of sleepers meanwhile. What is lost hangs, and the watchdog says so.
#include "../conformance/tools.hpp"
#include "../conformance/watchdog.hpp"
#include "load.hpp"

#include <concur/thread_pool.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

using conformance::watchdog;

namespace {

// From nothing up to about as long as a worker searches before it sleeps.
class pauses {
public:
    explicit pauses(std::uint64_t seed) : state_(seed) {}
    void operator()() {
        state_ = concur::detail::mix64(state_);
        if (state_ % 64 == 0) {
            for (auto i = state_ >> 58; i > 0; --i) concur::detail::yield_thread();
        }
        for (auto i = state_ >> 54 & 1023; i > 0; --i) concur::detail::cpu_relax();
    }

private:
    std::uint64_t state_;
};

constexpr std::chrono::seconds limit(100);

}  // namespace

TEST_CASE("idle: ping-pong of single tasks with random pauses") {
    const watchdog guard("a task that no worker runs", limit);
    const auto rounds = unit::load(100'000);
    for (const std::size_t workers : {1u, 2u, 3u}) {
        concur::thread_pool pool(workers);
        pauses pause(workers);
        std::size_t sum = 0;
        for (std::size_t i = 0; i != rounds / 3; ++i) {
            sum += pool.submit([] { return std::size_t{1}; }).get();
            pause();
        }
        CHECK(sum == rounds / 3);
    }
}

TEST_CASE("idle: two tasks at a time must run at the same time") {
    // The first cannot end before the second has started on another worker: it polls without
    // helping. A wake-up that is not handed on hangs here.
    const watchdog guard("the second of two tasks", limit);
    const auto rounds = unit::load(30'000);
    concur::thread_pool pool(2);
    pauses pause(7);
    for (std::size_t i = 0; i != rounds; ++i) {
        std::atomic<int> inside = 0;
        const auto meet = [&] {
            ++inside;
            conformance::eventually([&] { return inside == 2; });
        };
        auto a = pool.submit(meet), b = pool.submit(meet);
        a.get();
        b.get();
        pause();
    }
}

TEST_CASE("idle: two submitters that pause at random, and wait_idle") {
    const watchdog guard("wait_idle, or a task that no worker runs", limit);
    const auto rounds = unit::load(30'000);
    concur::thread_pool pool(2);
    std::atomic<std::size_t> ran = 0;
    {
        const auto submit = [&](std::uint64_t seed) {
            pauses pause(seed);
            for (std::size_t i = 0; i != rounds; ++i) {
                pool.post([&] { ++ran; });
                if (i % 8 == 0) pool.submit([] {}).get();
                if (i % 64 == 0) pool.wait_idle();
                pause();
            }
        };
        const std::jthread a(submit, 1), b(submit, 2);
    }
    pool.wait_idle();
    CHECK(ran == 2 * rounds);
    const auto stats = pool.stats();
    CHECK(stats.pending == 0);
    CHECK(stats.running == 0);
}

TEST_CASE("idle: loops that take the places of sleepers, beside single tasks") {
    const watchdog guard("a loop or a task beside it", limit);
    const auto rounds = unit::load(40'000);
    concur::thread_pool pool(2);
    std::atomic<std::size_t> items = 0, tasks = 0;
    {
        const std::jthread loops([&] {
            pauses pause(3);
            const std::vector<int> two{1, 2};
            for (std::size_t i = 0; i != rounds; ++i) {
                pool.for_each([&](int) { ++items; }, two);
                pause();
            }
        });
        const std::jthread submits([&] {
            pauses pause(4);
            for (std::size_t i = 0; i != rounds; ++i) {
                pool.submit([&] { ++tasks; }).get();
                pause();
            }
        });
    }
    CHECK(items == 2 * rounds);
    CHECK(tasks == rounds);
    pool.wait_idle();
    CHECK(pool.stats().completed == 3 * rounds);
}

TEST_CASE("idle: a pool ends while it falls asleep") {
    const watchdog guard("the end of a pool", limit);
    pauses pause(5);
    const auto rounds = unit::load(3'000);
    std::atomic<std::size_t> ran = 0;
    for (std::size_t i = 0; i != rounds; ++i) {
        concur::thread_pool pool(2);
        pause();
        pool.post([&] { ++ran; });
        pause();
    }
    CHECK(ran == rounds);
}

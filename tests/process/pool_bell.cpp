// SPDX-License-Identifier: BSL-1.0
// The pool's bell when those who ring it die or lack what it takes, and when those who sleep on it
// have other things to do.
#include "traces.hpp"

#include <concur/detail/process_pool/layout.hpp>
#include <concur/event_loop.hpp>

#include <doctest/doctest.h>

#include <fcntl.h>
#include <unistd.h>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace process;
using conformance::eventually;
using conformance::holds_within;
using namespace std::chrono_literals;
using concur::task;

namespace {

/// In a worker: the bell of its pool.
concur::detail::doorbell& bell_here() {
    std::FILE* const maps = std::fopen("/proc/self/maps", "re");
    char line[512];
    std::byte* base = nullptr;
    while (!base && std::fgets(line, sizeof line, maps)) {
        if (std::strstr(line, "/memfd:concur"))
            base = reinterpret_cast<std::byte*>(std::stoull(line, nullptr, 16));
    }
    std::fclose(maps);
    if (!base) throw std::runtime_error("no segment of a pool is mapped here");
    return concur::detail::pool_view(base).pool().bell;
}

/// Dies as if between the two steps of a ring: whoever sleeps has been taken note of, not woken.
void die_while_ringing() {
    auto& bell = bell_here();
    const auto sleeps = [&] { return bell.asleep.load() != concur::detail::doorbell::nobody; };
    if (!holds_within(20s, sleeps)) throw std::runtime_error("nobody sleeps on the bell");
    bell.asleep.store(concur::detail::doorbell::nobody);
    kill(getpid(), SIGKILL);
}

int until_stopped() {
    while (!concur::this_task::stop_requested()) std::this_thread::sleep_for(100us);
    return 7;
}

int slow(int ms) {
    std::this_thread::sleep_for(std::chrono::milliseconds(ms));
    return ms;
}

/// What a library does that makes a daemon of its process, or that starts programs.
int closes_all() {
    for (int fd = 3; fd != 2000; ++fd) close(fd);
    return getpid();
}

/// A coroutine function; a future that were an argument would be awaited before it starts.
auto awaits(const concur::shared_future<int>& f) {
    return [f]() -> task<int> { co_return co_await f; };
}

}  // namespace

TEST_CASE("bell: a worker dies while it rings, and the thread that sleeps is woken for others") {
    const nothing_left guard;
    concur::process_pool pool({.workers = 2});
    auto lasts = pool.submit(until_stopped);
    eventually([&] { return pool.stats().running == 1; });
    auto dies = pool.submit(die_while_ringing);
    int got = 0;
    std::thread waits([&] { got = lasts.get(); });
    eventually([&] { return dies.done(); });
    CHECK_THROWS_AS(dies.get(), concur::worker_lost);
    lasts.request_stop();
    waits.join();
    CHECK(got == 7);
}

TEST_CASE("bell: the same for an event loop that sleeps") {
    const nothing_left guard;
    concur::process_pool pool({.workers = 2});
    concur::event_loop loop;
    auto lasts = pool.submit(until_stopped).share();
    eventually([&] { return pool.stats().running == 1; });
    auto waits = loop.submit(awaits(lasts));
    auto dies = pool.submit(die_while_ringing);
    eventually([&] { return dies.done(); });
    CHECK_THROWS_AS(dies.get(), concur::worker_lost);
    lasts.request_stop();
    CHECK(waits.get() == 7);
}

TEST_CASE("bell: a task that closes all descriptors of its worker still wakes the loop") {
    const nothing_left guard;
    for (const auto method : start_methods) {
        CAPTURE(name_of(method));
        concur::process_pool pool({.workers = 1, .start = method});
        concur::event_loop loop;
        auto f = loop.submit([&]() -> task<int> {
            int sum = 0;
            co_await pool.submit(closes_all);
            for (int i = 0; i != 5; ++i) {
                co_await concur::sleep_for(1ms);
                sum += co_await pool.submit(slow, 2);
            }
            co_return sum;
        });
        CHECK(f.get() == 10);
    }
}

TEST_CASE("bell: nothing is written into a file that a task opens instead of what it closed") {
    const nothing_left guard;
    concur::process_pool pool({.workers = 1});
    concur::event_loop loop;
    char name[] = "/tmp/concur-bell-XXXXXX";
    const int file = mkstemp(name);
    REQUIRE(file >= 0);
    const auto opens = [](std::string path) {
        closes_all();
        for (int i = 0; i != 16; ++i) open(path.c_str(), O_RDWR);
        return getpid();
    };
    auto f = loop.submit([&]() -> task<int> {
        co_await pool.submit(opens, std::string(name));
        int sum = 0;
        for (int i = 0; i != 5; ++i) sum += co_await pool.submit(slow, 2);
        co_return sum;
    });
    CHECK(f.get() == 10);
    CHECK(lseek(file, 0, SEEK_END) == 0);
    close(file);
    unlink(name);
}

TEST_CASE("bell: threads do not wait for a loop that is in a long coroutine") {
    const nothing_left guard;
    concur::process_pool pool({.workers = 2});
    concur::event_loop loop;
    std::atomic<int> stage = 0;
    auto lasts = pool.submit(until_stopped).share();
    auto awaiting = loop.submit(awaits(lasts));
    // It is woken by its own clock, within Asio, where it listens; and does not come back.
    auto busy = loop.submit([&]() -> task<void> {
        co_await concur::sleep_for(20ms);
        stage = 1;
        eventually([&] { return stage == 2; });
    });
    eventually([&] { return stage == 1; });
    CHECK(pool.submit(slow, 5).get() == 5);
    auto in_callback = pool.submit(slow, 5);
    std::atomic<bool> called = false;
    in_callback.add_done_callback([&] { called = true; });
    eventually([&] { return called.load(); });
    stage = 2;
    busy.get();
    lasts.request_stop();
    CHECK(awaiting.get() == 7);
}

TEST_CASE("bell: loops and threads take it from each other, and none is forgotten") {
    const nothing_left guard;
    concur::process_pool pool({.workers = 2});
    concur::event_loop loops[2];
    const auto awaiting = [&](int n) -> task<int> {
        int sum = 0;
        for (int i = 0; i != n; ++i) {
            sum += co_await pool.submit(slow, i % 3);
            if (i % 4 == 0) co_await concur::sleep_for(std::chrono::microseconds(300 * (i % 5)));
        }
        co_return sum;
    };
    const int rounds = 60;
    std::vector<concur::future<int>> all;
    for (auto& loop : loops) {
        for (int i = 0; i != 2; ++i) all.push_back(loop.submit(awaiting, rounds));
    }
    std::vector<std::thread> threads;
    for (int t = 0; t != 2; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i != rounds; ++i) {
                pool.submit(slow, i % 3).get();
                std::this_thread::sleep_for(std::chrono::microseconds(500 * (i % 4)));
            }
        });
    }
    for (auto& t : threads) t.join();
    for (auto& f : all) CHECK(f.get() == rounds);
}

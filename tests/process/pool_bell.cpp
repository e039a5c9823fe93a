// SPDX-License-Identifier: BSL-1.0
// The pool's bell when those who ring it die or lack what it takes, and when those who sleep on it
// have other things to do.
#include "traces.hpp"

#include <concur/detail/process_pool/layout.hpp>
#include <concur/event_loop.hpp>

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace process;
using conformance::eventually;
using conformance::holds_within;
using namespace std::chrono_literals;
using concur::task;
using concur::detail::doorbell;

namespace {

/// In a worker: the bell of its pool.
doorbell& bell_here() {
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

/// The kernel says that this thread is in a futex whose word begins a page, as the bell does.
bool in_kernel_on_a_bell(int thread) {
    const auto call = file_content("/proc/" + std::to_string(thread) + "/syscall");
    return call.starts_with(std::to_string(SYS_futex) + " ") &&
           std::stoull(call.substr(call.find(' ')), nullptr, 16) % 4096 == 0;
}
bool in_kernel(int thread) {
    const concur::detail::process_stat now(thread);
    return now && *now.field(3) == 'S';
}

/// Dies as if between the two steps of a ring: that thread of the pool's process sleeps on the
/// bell, which has been taken note of, and it is not woken. Returns if it does not sleep there, for
/// the pool's own thread does.
void die_while_ringing(int thread, doorbell::sleeper how) {
    auto& bell = bell_here();
    int in_a_row = 0;  // between its announcement and its sleep it would still see what we do
    const auto sleeps = [&] {
        const bool there = how == doorbell::futex ? in_kernel_on_a_bell(thread) : in_kernel(thread);
        in_a_row = bell.asleep.load() == how && there ? in_a_row + 1 : 0;
        return in_a_row == 20;
    };
    if (!holds_within(300ms, sleeps)) return;
    bell.asleep.store(doorbell::nobody);
    kill(getpid(), SIGKILL);
}

/// Both workers have started, nothing is left to do, and nobody has called for attention.
void calm(concur::process_pool& pool) {
    for (int i = 0; i != 4; ++i) pool.post([] { std::this_thread::sleep_for(2ms); });
    pool.wait_idle();
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

/// What a death brings about is over, and the pool's own thread sleeps again.
void let_pass(concur::process_pool& pool) {
    auto next = pool.submit(slow, 1);
    eventually([&] {
        pool.stats();
        return next.done();
    });
}

}  // namespace

TEST_CASE("bell: a worker dies while it rings, and the thread that sleeps is woken for others") {
    const nothing_left guard;
    int died = 0;
    for (int round = 0; round != 30 && died == 0; ++round) {
        concur::process_pool pool({.workers = 2});
        calm(pool);
        auto lasts = pool.submit(until_stopped);
        int got = 0;
        std::promise<int> id;
        std::thread waits([&] {
            id.set_value(gettid());
            got = lasts.get();
        });
        auto dies = pool.submit(die_while_ringing, id.get_future().get(), doorbell::futex);
        eventually([&] { return dies.done(); });
        died += dies.exception() != nullptr;
        let_pass(pool);
        lasts.request_stop();
        waits.join();
        CHECK(got == 7);
    }
    if (file_content("/proc/self/syscall").empty()) {
        MESSAGE("not tested: this kernel does not say where a thread sleeps");
    } else {
        CHECK(died == 1);
    }
}

TEST_CASE("bell: the same for an event loop that sleeps") {
    const nothing_left guard;
    int died = 0;
    for (int round = 0; round != 30 && died == 0; ++round) {
        concur::process_pool pool({.workers = 2});
        calm(pool);
        concur::event_loop loop;
        const int thread = loop.submit([] { return gettid(); }).get();
        auto lasts = pool.submit(until_stopped).share();
        auto waits = loop.submit(awaits(lasts));
        auto dies = pool.submit(die_while_ringing, thread, doorbell::descriptor);
        eventually([&] { return dies.done(); });
        died += dies.exception() != nullptr;
        let_pass(pool);
        lasts.request_stop();
        eventually([&] { return waits.done(); });  // get() would call for attention
        CHECK(waits.get() == 7);
    }
    CHECK(died == 1);
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

TEST_CASE("bell: a ring that cannot wake the loop is heard for those that come after it") {
    const nothing_left guard;
    concur::process_pool pool({.workers = 2});
    concur::event_loop loop;
    for (int round = 0; round != 3; ++round) {
        auto f = loop.submit([&]() -> task<int> {
            std::vector<concur::future<int>> closed;
            for (int i = 0; i != 8; ++i) closed.push_back(pool.submit(closes_all));
            auto first = pool.submit(slow, 10);  // nobody waits for it
            auto second = pool.submit(slow, 60);
            co_return co_await std::move(second);
        });
        eventually([&] { return f.done(); });  // get() would call for attention
        CHECK(f.get() == 60);
    }
}

TEST_CASE("bell: a loop that may not listen sleeps nevertheless") {
    const nothing_left guard;
    concur::process_pool pool({.workers = 2, .max_tasks_per_worker = 2});
    concur::event_loop loop;
    const auto clock_of_loop = [] {
        timespec now{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
    };
    const auto before = loop.submit(clock_of_loop).get();
    auto f = loop.submit([&]() -> task<int> { co_return co_await pool.submit(slow, 600); });
    // It calls for attention, and the end of each worker signals the event.
    std::thread waits([&] {
        for (int i = 0; i != 6; ++i) pool.submit(slow, 1).get();
        pool.wait_idle();
    });
    CHECK(f.get() == 600);
    waits.join();
    const auto spent = loop.submit(clock_of_loop).get() - before;
    CHECK(spent < 300ms);
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

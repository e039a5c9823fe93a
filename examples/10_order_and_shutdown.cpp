// SPDX-License-Identifier: BSL-1.0
// New here: which task goes first, what a pool counts, and how it ends. Read 11_map_in_depth.cpp
// next.

#include <concur/thread_pool.hpp>

#include <cstdio>
#include <latch>
#include <thread>

int main() {
    std::latch open(1), last(1);  // before the pool, whose end is the end of the tasks that wait
    concur::thread_pool pool(1);
    auto const say = [](char const* what) { std::printf("%s\n", what); };

    // The only worker is busy, so the others wait. Among tasks that no worker has taken yet, a
    // higher priority goes first, and those of equal priority in the order in which they were
    // submitted.
    auto busy = pool.submit([&] { open.wait(); });
    while (!busy.running()) std::this_thread::yield();
    pool.post({.priority = -1}, say, "low");
    pool.post(say, "first of two");
    pool.post(say, "second of two");
    pool.post({.name = "urgent", .priority = 1}, say, "high");
    std::printf("%zu running, %zu pending\n", pool.stats().running, pool.stats().pending);
    open.count_down();
    pool.wait_idle();

    // The end of the pool is the end of its block: ~thread_pool() lets everything finish first.
    // shutdown() does the same earlier, or cancels what has not started.
    auto runs = pool.submit([&] { last.wait(); });
    while (!runs.running()) std::this_thread::yield();
    auto never = pool.submit(say, "never");
    pool.shutdown({.wait = false, .cancel_pending = true});
    std::printf("cancelled: %s\n", never.cancelled() ? "yes" : "no");
    last.count_down();

    try {
        pool.post(say, "too late");
    } catch (concur::executor_shut_down const& problem) {
        std::printf("%s\n", problem.what());
    }
}

// Output:
// 1 running, 4 pending
// high
// first of two
// second of two
// low
// cancelled: yes
// cannot schedule new futures after shutdown

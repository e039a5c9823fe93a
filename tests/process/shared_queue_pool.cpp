// SPDX-License-Identifier: BSL-1.0
// shared_queue and a process_pool whose workers die: what was pushed before the death comes out,
// and the queue goes on.
#include "../conformance/watchdog.hpp"

#include <concur/process_pool.hpp>
#include <concur/shared_queue.hpp>

#include <doctest/doctest.h>

#include <csignal>
#include <vector>

using concur::shared_queue;

namespace {

int push_and_die(const shared_queue<int>& q, int from, int count) {
    for (int i = 0; i != count; ++i) {
        if (!q.try_push(from + i)) return -1;
    }
    return std::raise(SIGKILL);
}

[[noreturn]] int push_for_ever(const shared_queue<int>& q) {
    for (int i = 0;;) i += q.try_push(i);
}

}  // namespace

TEST_CASE("shared_queue: workers that push and die") {
    const conformance::watchdog guard;
    concur::process_pool pool(2);
    const shared_queue<int> q(1000);
    for (int i = 0; i != 20; ++i) {
        auto lost = pool.submit(push_and_die, q, 10 * i, 10);
        CHECK_THROWS_AS(lost.get(), concur::worker_lost);
    }
    CHECK(q.size() == 200);
    for (int i = 0; i != 200; ++i) CHECK(q.try_pop() == i);
    CHECK(q.empty());
}

TEST_CASE("shared_queue: workers that are killed while they push") {
    const conformance::watchdog guard;
    const shared_queue<int> q(3);
    for (int round = 0; round != 10; ++round) {
        while (q.try_pop()) continue;  // the dead one of before has left some
        concur::process_pool pool(1);
        auto endless = pool.submit(push_for_ever, q);
        for (int next = 0; next != 1000;) {
            if (const auto got = q.try_pop()) REQUIRE(*got == next++);
        }
        pool.kill_workers();
        CHECK_THROWS_AS(endless.get(), concur::worker_lost);
    }
    while (q.try_pop()) continue;
    for (int i = 0; i != 3; ++i) CHECK(q.try_push(i));
    CHECK(!q.try_push(3));
}

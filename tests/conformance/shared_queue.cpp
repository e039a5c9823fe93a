// SPDX-License-Identifier: BSL-1.0
// shared_queue and tasks of every executor: a handle crosses as an argument, within one and as a
// result, and it is the same queue everywhere.
#include "all_executors.hpp"
#include "watchdog.hpp"

#include <concur/shared_queue.hpp>

#include <doctest/doctest.h>

#include <thread>
#include <utility>
#include <vector>

using namespace conformance;
using concur::shared_queue;

namespace {

struct reading {
    int sensor;
    int number;
};

int produce(const shared_queue<reading>& q, int sensor, int count) {
    for (int i = 0; i != count; ++i) {
        while (!q.try_push({sensor, i})) std::this_thread::yield();
    }
    return count;
}

/// How many came in the wrong order.
int consume(const shared_queue<reading>& q, int sensors, int count) {
    std::vector<int> next(static_cast<std::size_t>(sensors));
    int wrong = 0;
    while (count > 0) {
        const auto got = q.try_pop();
        if (!got) {
            std::this_thread::yield();
            continue;
        }
        wrong += next.at(static_cast<std::size_t>(got->sensor))++ != got->number;
        --count;
    }
    return wrong;
}

shared_queue<reading> filled(int count) {
    shared_queue<reading> q(count);
    produce(q, 0, count);
    return q;
}

struct station {
    std::string name;
    std::vector<shared_queue<reading>> queues;
};

int serve(const station& s) {
    int sum = 0;
    for (const auto& q : s.queues) {
        while (const auto got = q.try_pop()) sum += got->number;
    }
    return sum;
}

}  // namespace

TEST_CASE_TEMPLATE("shared_queue: tasks push what the caller pops, and the other way round", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    const shared_queue<reading> q(1000);
    CHECK(ex.submit(produce, q, 0, 1000).get() == 1000);
    CHECK(q.size() == 1000);
    CHECK(!q.try_push({}));
    CHECK(consume(q, 1, 1000) == 0);
    produce(q, 0, 1000);
    CHECK(ex.submit(consume, q, 1, 1000).get() == 0);
    CHECK(q.empty());
}

TEST_CASE_TEMPLATE("shared_queue: few places, and both sides at once", E, CONCUR_EXECUTORS) {
    CONCUR_ONLY_IF(E::parallel);
    const watchdog guard;
    auto ex = E::make(3);
    const shared_queue<reading> q(5);
    auto one = ex.submit(produce, q, 0, 20'000);
    auto two = ex.submit(produce, q, 1, 20'000);
    auto wrong = ex.submit(consume, q, 2, 40'000);
    CHECK(one.get() + two.get() == 40'000);
    CHECK(wrong.get() == 0);
    CHECK(q.empty());
}

TEST_CASE_TEMPLATE("shared_queue: a handle as a result, and within an argument", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    auto first = ex.submit(filled, 10).get();
    CHECK(first.size() == 10);
    station s{"north", {first, ex.submit(filled, 3).get()}};
    CHECK(ex.submit(serve, s).get() == 45 + 3);
    CHECK(s.queues[0].empty());
    CHECK(s.queues[1].empty());
}

TEST_CASE_TEMPLATE("shared_queue: it outlives the executor and its workers", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    const shared_queue<reading> q(10);
    {
        auto ex = E::make(2);
        CHECK(ex.submit(produce, q, 0, 10).get() == 10);
    }
    CHECK(consume(q, 1, 10) == 0);
    auto next = E::make(2);
    CHECK(next.submit(produce, q, 0, 10).get() == 10);
    CHECK(consume(q, 1, 10) == 0);
}

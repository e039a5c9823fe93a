// SPDX-License-Identifier: BSL-1.0
// The queue from outside: many producers, consumers that take turns. Nothing is lost, nothing
// comes twice, what one producer pushed keeps its order, and empty() never hides an item.
#include "../conformance/watchdog.hpp"
#include "load.hpp"

#include <concur/detail/sync/injection_queue.hpp>

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <memory>
#include <thread>

using concur::detail::injection_queue;
using concur::detail::queue_link;
using conformance::watchdog;

constexpr std::size_t total = unit::load(1'000'000);

namespace {

struct item : queue_link {
    std::size_t producer = 0;
    std::size_t number = 0;
    int taken = 0;  // not atomic: two takers of one item would be a data race
};

}  // namespace

TEST_CASE("injection_queue: three producers, two consumers, each producer's order is kept") {
    const watchdog guard;
    constexpr std::size_t producers = 3, each = total / producers;
    std::array<std::unique_ptr<item[]>, producers> items;
    for (std::size_t p = 0; p != producers; ++p) {
        items[p].reset(new item[each]);
        for (std::size_t i = 0; i != each; ++i) items[p][i].producer = p, items[p][i].number = i;
    }
    injection_queue queue;
    std::atomic<std::size_t> received = 0;
    std::array<std::size_t, producers> next{};  // not atomic: the queue's own lock orders it
    std::atomic<std::size_t> out_of_order = 0;
    {
        const auto consume = [&](std::size_t most) {
            while (received < producers * each) {
                received += queue.take_batch(most, [&](queue_link& link) {
                    auto& i = static_cast<item&>(link);
                    ++i.taken;
                    if (i.number != next[i.producer]++) ++out_of_order;
                });
            }
        };
        const auto produce = [&](std::size_t p) {
            for (std::size_t i = 0; i != each; ++i) queue.push(items[p][i]);
        };
        const std::jthread a(produce, 0), b(produce, 1), c(produce, 2), d(consume, 1),
            e(consume, 64);
    }
    CHECK(queue.empty());
    CHECK(out_of_order == 0);
    std::size_t wrong = 0;
    for (const auto& list : items) {
        for (std::size_t i = 0; i != each; ++i) wrong += list[i].taken != 1;
    }
    CHECK(wrong == 0);
}

TEST_CASE("injection_queue: empty() never hides an item whose push has returned") {
    const watchdog guard("an item that empty() denies", std::chrono::seconds(100));
    // Two items, and nobody pushes more before both are out: so an item that is overlooked once is
    // overlooked for ever. The consumer only trusts empty(), as a worker does before it sleeps.
    constexpr std::size_t rounds = total / 4;
    injection_queue queue;
    std::array<item, 2> items;
    std::atomic<std::size_t> pushed = 0, received = 0;
    std::atomic<std::size_t> hidden = 0;
    {
        const std::jthread producer([&] {
            for (std::size_t round = 0; round != rounds; ++round) {
                queue.push(items[0]);
                queue.push(items[1]);
                pushed = 2 * (round + 1);
                while (received != 2 * (round + 1)) {
                    if (received > 2 * round + 2) break;
                    std::this_thread::yield();
                }
            }
        });
        std::size_t got = 0;
        while (got != 2 * rounds) {
            const auto there = pushed.load();
            if (queue.empty()) {
                if (there > got) {
                    ++hidden;
                    break;
                }
                std::this_thread::yield();
                continue;
            }
            got += queue.take_batch(64, [](queue_link&) {});
            received = got;
        }
        if (hidden != 0) {
            // Another push brings them to light again, so that the threads can end.
            received = static_cast<std::size_t>(-1);
        }
    }
    CHECK(hidden == 0);
}

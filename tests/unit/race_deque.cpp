// SPDX-License-Identifier: BSL-1.0
// The work-stealing deque, owner against thieves: each item comes out exactly once, and never to
// a thief who may not have it.
#include "../conformance/watchdog.hpp"
#include "load.hpp"

#include <concur/detail/sync/deque.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

using conformance::watchdog;

constexpr std::size_t total = unit::load(2'000'000);

namespace {

struct item {
    std::size_t number = 0;
    int taken = 0;  // not atomic: two takers of one item would be a data race
};

using deque = concur::detail::work_deque<item>;

std::vector<item> items_of(std::size_t n) {
    std::vector<item> items(n);
    for (std::size_t i = 0; i != n; ++i) items[i].number = i;
    return items;
}

std::ptrdiff_t not_taken_once(const std::vector<item>& items) {
    return std::count_if(items.begin(), items.end(), [](const item& i) { return i.taken != 1; });
}

}  // namespace

TEST_CASE("deque: one owner, two thieves, bursts that grow the ring and run it dry") {
    const watchdog guard;
    auto items = items_of(total);
    deque d;
    std::atomic<bool> over = false;
    std::atomic<std::size_t> stolen = 0;
    {
        const auto thief = [&] {
            std::size_t mine = 0;
            for (;;) {
                const bool last = over;  // before the look: what is there then will be seen
                if (item* const i = d.steal()) {
                    ++i->taken;
                    ++mine;
                } else if (last && d.empty()) {
                    break;
                }
            }
            stolen += mine;
        };
        const std::jthread a(thief), b(thief);
        std::size_t pushed = 0;
        for (std::size_t round = 0; pushed != total; ++round) {
            // Mostly one or two items, so that both sides meet at the last one.
            const std::size_t burst = round % 1000 == 0 ? 700 : 1 + round % 2;
            for (std::size_t i = 0; i != burst && pushed != total; ++i) d.push(&items[pushed++]);
            const std::size_t pops = round % 3 == 0 ? burst : 1;
            for (std::size_t i = 0; i != pops; ++i) {
                if (item* const got = d.pop()) ++got->taken;
            }
        }
        over = true;
    }
    MESSAGE("stolen: " << stolen.load() << " of " << total);
    CHECK(d.empty());
    CHECK(not_taken_once(items) == 0);
}

TEST_CASE("deque: pop_if against thieves, either the owner has it or they do") {
    const watchdog guard;
    auto items = items_of(total / 2);
    deque d;
    std::atomic<bool> over = false;
    std::size_t refused = 0;
    {
        const std::jthread thief([&] {
            while (!over) {
                if (item* const i = d.steal()) ++i->taken;
            }
        });
        for (auto& i : items) {
            d.push(&i);
            if (d.pop_if(&i)) {
                ++i.taken;
            } else {
                ++refused;
            }
        }
        while (!d.empty()) std::this_thread::yield();
        over = true;
    }
    MESSAGE("stolen: " << refused << " of " << items.size());
    CHECK(not_taken_once(items) == 0);
}

TEST_CASE("deque: steal(mark) never gives an item from below the mark") {
    const watchdog guard;
    // The owner nests like a task that waits: it pushes, remembers a mark, pushes above it, and
    // a helper that knows the mark takes only from above.
    constexpr std::size_t below = 3, above = 4, rounds = total / (4 * (below + above));
    auto items = items_of(rounds * (below + above));
    deque d;
    std::atomic<std::int64_t> mark = -1;       // -1: none is valid
    std::atomic<std::size_t> first_above = 0;  // number of the first item above that mark
    std::atomic<std::size_t> open = 0;         // helpers that use the mark
    std::atomic<bool> over = false;
    std::atomic<std::size_t> wrong = 0, helped = 0, looks = 0;
    {
        const std::jthread helper([&] {
            while (!over) {
                ++open;
                if (const auto m = mark.load(); m >= 0) {
                    if (item* const i = d.steal(m)) {
                        if (i->number < first_above) ++wrong;
                        ++i->taken;
                        ++helped;
                    }
                }
                --open;
                ++looks;
            }
        });
        const std::jthread thief([&] {
            while (!over) {
                if (item* const i = d.steal()) ++i->taken;
                std::this_thread::yield();
            }
        });
        std::size_t next = 0;
        for (std::size_t round = 0; round != rounds; ++round) {
            for (std::size_t i = 0; i != below; ++i) d.push(&items[next++]);
            first_above = next;
            const auto m = d.bottom();
            mark = m;
            for (std::size_t i = 0; i != above; ++i) d.push(&items[next++]);
            // Now and then the helper certainly meets this round.
            if (round % 64 == 0) {
                const auto before = looks.load();
                while (looks < before + 2) std::this_thread::yield();
            }
            while (d.bottom() > m) {
                if (item* const i = d.pop()) {
                    ++i->taken;
                } else {
                    break;
                }
            }
            mark = -1;
            while (open != 0) std::this_thread::yield();
            while (item* const i = d.pop()) ++i->taken;
        }
        over = true;
    }
    MESSAGE("helped: " << helped.load());
    CHECK(wrong == 0);
    CHECK(not_taken_once(items) == 0);
}

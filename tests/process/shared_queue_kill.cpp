// SPDX-License-Identifier: BSL-1.0
// The queue between processes that are killed: at every single instruction of a push and of a pop,
// one after the other; and at random, several at a time. Nothing is torn, comes twice or in the
// wrong order, is lost beyond what a dead popper had in its hands, or takes away room for good.
#include "../unit/load.hpp"
#include "forked.hpp"
#include "queue_war.hpp"
#include "stepped.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <vector>

using process::checked_queue;
using process::stepped;

namespace {

/// From one instruction to the next: every single one, if the function has not too many of them
/// (sanitizers add some), and always at its end.
std::size_t stride_at(std::size_t step, std::size_t instructions) {
    constexpr std::size_t end = 32;
    return step + end >= instructions ? 1 : 1 + instructions * instructions / 2 / 600'000;
}

void know_oneself() { concur::detail::process_mark(); }

}  // namespace

TEST_CASE("shared queue: a push that is killed at any instruction") {
    const process::alarm_clock guard(100);
    checked_queue q(2);
    std::uint64_t next = 1, expected = 1;
    std::size_t came = 0, killed = 0;
    const auto push = [&](std::uint64_t name) { return q.push(name) ? 1 : 0; };
    push(next++);
    const auto all = stepped(know_oneself, [&] { push(next); }).count();
    if (!stepped::allowed()) return;
    ++next;
    for (std::size_t steps = 1; steps <= all; steps += stride_at(steps, all)) {
        const auto before = q.size();
        const auto mine = next++;
        stepped(know_oneself, [&] { push(mine); }).step(steps);
        ++killed;
        REQUIRE(q.size() - before <= (before < 2));
        const bool there = q.size() != before;
        came += there;
        // Now and then it stays, so that slots come round empty and full.
        if (steps % 3 == 0 && there) continue;
        for (std::uint64_t name; (name = q.pop()) != 0; expected = name + 1) {
            REQUIRE(name != ~0ull);
            REQUIRE(name >= expected);
        }
        REQUIRE((!there || expected == next));
        REQUIRE(push(next++) == 1);
        if (steps % 16 == 0) REQUIRE(q.whole());
    }
    MESSAGE(killed << " instructions of " << all << " in a push; the item was there after "
                   << came);
    CHECK(q.whole());
    CHECK(killed > 50);
    CHECK(came > 1);
}

TEST_CASE("shared queue: a pop that is killed at any instruction") {
    const process::alarm_clock guard(100);
    checked_queue q(2);
    std::uint64_t next = 1;
    std::size_t gone = 0, killed = 0;
    const auto fill = [&] {
        while (q.size() < 2) REQUIRE(q.push(next++));
    };
    fill();
    const auto all = stepped(know_oneself, [&] { q.pop(); }).count();
    if (!stepped::allowed()) return;
    for (std::size_t steps = 1; steps <= all; steps += stride_at(steps, all)) {
        fill();
        stepped(know_oneself, [&] { q.pop(); }).step(steps);
        ++killed;
        const auto left = q.size();
        REQUIRE(left >= 1);
        gone += left == 1;
        if (steps % 2 == 0) {
            REQUIRE(q.push(next) == (left == 1));
            if (left == 1) ++next;
        }
        for (auto name = next - q.size(); name != next; ++name) REQUIRE(q.pop() == name);
        REQUIRE(q.pop() == 0);
        if (steps % 16 == 0) REQUIRE(q.whole());
    }
    MESSAGE(killed << " instructions of " << all << " in a pop; the item was gone after " << gone);
    CHECK(q.whole());
    CHECK(killed > 20);
    CHECK(gone > 1);
}

TEST_CASE("shared queue: more pushes die than there are spare nodes, and their zombies stay") {
    const process::alarm_clock guard(100);
    checked_queue q(3);
    const auto all = stepped(know_oneself, [&] { q.push(7); }).count();
    if (!stepped::allowed()) return;
    REQUIRE(q.pop() == 7);
    std::vector<std::unique_ptr<stepped>> dead;
    std::size_t pushed = 0;
    for (std::size_t i = 0; i != 2 * q.spares(); ++i) {
        dead.push_back(std::make_unique<stepped>(know_oneself, [&] { q.push(7); }));
        dead.back()->step(all / 2);
        dead.back()->kill();
        while (q.pop() != 0) ++pushed;
    }
    CHECK(pushed < q.spares());  // else the half of it was too much for this test
    CHECK(q.whole());
}

TEST_CASE("shared queue: what the dead have pushed is not taken for what they held") {
    const process::alarm_clock guard;
    checked_queue q(8);
    for (int round = 0; round != 10; ++round) {
        process::forked child([&] {
            for (std::uint64_t name = 1; name != 6; ++name) q.push(name);
            return 0;
        });
        REQUIRE(child.wait() == 0);
        REQUIRE(q.spare_nodes() == q.spares());
        for (std::uint64_t name = 1; name != 6; ++name) REQUIRE(q.pop() == name);
        REQUIRE(q.pop() == 0);
    }
}

TEST_CASE("shared queue: processes that are killed and stopped at random") {
    const process::alarm_clock guard(100);
    const auto run = [](std::uint32_t capacity, unsigned seed) {
        process::queue_war war(capacity, std::size_t{1} << 24, seed);
        war.fight(std::chrono::milliseconds(1500));
        war.account();
        CHECK(war.producer_kills + war.consumer_kills > 20);
    };
    SUBCASE("one place") { run(1, 1); }
    SUBCASE("few places") { run(4, 2); }
    SUBCASE("many places") { run(1000, 3); }
}

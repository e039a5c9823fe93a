// SPDX-License-Identifier: BSL-1.0
// The queue between processes that are killed and stopped at random, for longer.
#include "forked.hpp"
#include "queue_war.hpp"

#include <doctest/doctest.h>

TEST_CASE("shared queue: a long war") {
    const process::alarm_clock guard(500);
    for (const std::uint32_t capacity : {1u, 2u, 7u, 100u}) {
        for (unsigned seed = 0; seed != 4; ++seed) {
            process::queue_war war(capacity, std::size_t{1} << 26, 100 * capacity + seed);
            war.fight(std::chrono::seconds(5));
            war.account();
            CHECK(war.producer_kills > 50);
            CHECK(war.consumer_kills > 50);
        }
    }
}

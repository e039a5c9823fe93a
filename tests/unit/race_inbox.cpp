// SPDX-License-Identifier: BSL-1.0
// The inbox of a worker: its owner fills and takes, thieves take. Each item comes out once, and
// whoever takes sees them in the order in which they were put.
#include "../conformance/watchdog.hpp"
#include "load.hpp"

#include <concur/detail/sync/inbox.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

constexpr std::size_t total = unit::load(3'000'000);

namespace {

struct item {
    std::size_t number = 0;
    int taken = 0;  // not atomic: two takers of one item would be a data race
};

}  // namespace

TEST_CASE("inbox: an owner that refills against two thieves") {
    const conformance::watchdog guard;
    std::vector<item> items(total);
    for (std::size_t i = 0; i != total; ++i) items[i].number = i;
    concur::detail::inbox<item, 8> box;
    std::atomic<bool> over = false;
    std::atomic<int> out_of_order = 0;
    std::atomic<std::size_t> stolen = 0;
    {
        const auto thief = [&] {
            std::size_t after = 0, mine = 0;
            for (;;) {
                const bool last = over;
                item* const i = box.take();
                if (i) {
                    ++i->taken;
                    ++mine;
                    if (i->number < after) ++out_of_order;
                    after = i->number + 1;
                } else if (last) {
                    break;
                }
            }
            stolen += mine;
        };
        const std::jthread a(thief), b(thief);
        std::size_t next = 0, after = 0;
        for (std::size_t round = 0; next != total; ++round) {
            const auto batch = std::min({box.room(), 1 + round % 8, total - next});
            for (std::size_t i = 0; i != batch; ++i) box.put(&items[next++]);
            for (std::size_t i = 0; i != 1 + round % 3; ++i) {
                item* const got = box.take();
                if (!got) break;
                ++got->taken;
                if (got->number < after) ++out_of_order;
                after = got->number + 1;
            }
        }
        over = true;
    }
    MESSAGE("stolen: " << stolen.load() << " of " << total);
    CHECK(box.empty());
    CHECK(out_of_order == 0);
    CHECK(std::all_of(items.begin(), items.end(), [](const item& i) { return i.taken == 1; }));
}

// SPDX-License-Identifier: BSL-1.0
// The queue from outside, one thread at a time. race_injection.cpp lets the threads meet.
#include <concur/detail/sync/injection_queue.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <vector>

using concur::detail::injection_queue;
using concur::detail::queue_link;

namespace {

struct item : queue_link {
    int number = 0;
};

std::unique_ptr<item[]> items_of(std::size_t n) {
    auto items = std::make_unique<item[]>(n);
    for (std::size_t i = 0; i != n; ++i) items[i].number = static_cast<int>(i);
    return items;
}

std::vector<int> take(injection_queue& queue, std::size_t most) {
    std::vector<int> got;
    const auto n = queue.take_batch(
        most, [&](queue_link& link) { got.push_back(static_cast<item&>(link).number); });
    CHECK(n == got.size());
    return got;
}

}  // namespace

TEST_CASE("injection_queue: empty gives nothing") {
    injection_queue queue;
    CHECK(queue.empty());
    CHECK(take(queue, 10).empty());
}

TEST_CASE("injection_queue: one item, many times over") {
    injection_queue queue;
    auto items = items_of(1);
    for (int round = 0; round != 5; ++round) {
        queue.push(items[0]);
        CHECK_FALSE(queue.empty());
        CHECK(take(queue, 10) == std::vector{0});
        CHECK(queue.empty());
        CHECK(take(queue, 10).empty());
    }
}

TEST_CASE("injection_queue: first in, first out, in batches of at most so many") {
    injection_queue queue;
    auto items = items_of(7);
    for (std::size_t i = 0; i != 5; ++i) queue.push(items[i]);
    CHECK(take(queue, 0).empty());
    CHECK(take(queue, 2) == std::vector{0, 1});
    queue.push(items[5]);
    CHECK(take(queue, 3) == std::vector{2, 3, 4});
    CHECK_FALSE(queue.empty());
    queue.push(items[6]);
    CHECK(take(queue, 10) == std::vector{5, 6});
    CHECK(queue.empty());
}

TEST_CASE("injection_queue: an item may be pushed again as soon as it is out") {
    injection_queue queue;
    auto items = items_of(3);
    for (std::size_t i = 0; i != 3; ++i) queue.push(items[i]);
    std::vector<int> got;
    // From inside the batch: the link is the item's own again.
    queue.take_batch(3, [&](queue_link& link) {
        got.push_back(static_cast<item&>(link).number);
        if (got.size() <= 2) queue.push(static_cast<item&>(link));
    });
    CHECK(got == std::vector{0, 1, 2});
    CHECK(take(queue, 10) == std::vector{0, 1});
    CHECK(queue.empty());
}

TEST_CASE("injection_queue: one consumer at a time, a second one gets nothing") {
    injection_queue queue;
    auto items = items_of(2);
    queue.push(items[0]);
    queue.push(items[1]);
    std::size_t inner = 7;
    const auto outer =
        queue.take_batch(1, [&](queue_link&) { inner = queue.take_batch(1, [](queue_link&) {}); });
    CHECK(outer == 1);
    CHECK(inner == 0);
    CHECK(take(queue, 10) == std::vector{1});
}

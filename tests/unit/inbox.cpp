// SPDX-License-Identifier: BSL-1.0
// The inbox of a worker, one thread at a time. race_inbox.cpp lets the threads meet.
#include <concur/detail/sync/inbox.hpp>

#include <doctest/doctest.h>

#include <array>

using box = concur::detail::inbox<int, 4>;

TEST_CASE("inbox: empty gives nothing and has room for all") {
    box b;
    CHECK(b.empty());
    CHECK(b.take() == nullptr);
    CHECK(b.room() == 4);
    CHECK(box::capacity == 4);
}

TEST_CASE("inbox: first in, first out") {
    box b;
    std::array<int, 3> items{};
    for (auto& i : items) b.put(&i);
    CHECK(b.room() == 1);
    CHECK_FALSE(b.empty());
    for (auto& i : items) CHECK(b.take() == &i);
    CHECK(b.empty());
    CHECK(b.take() == nullptr);
    CHECK(b.room() == 4);
}

TEST_CASE("inbox: refilled a thousand times around the ring") {
    box b;
    std::array<int, 4> items{};
    for (std::size_t round = 0; round != 1000; ++round) {
        const auto fill = round % 4 + 1;
        REQUIRE(b.room() == 4);
        for (std::size_t i = 0; i != fill; ++i) b.put(&items[i]);
        REQUIRE(b.room() == 4 - fill);
        for (std::size_t i = 0; i != fill; ++i) REQUIRE(b.take() == &items[i]);
        REQUIRE(b.take() == nullptr);
    }
}

TEST_CASE("inbox: a batch may be added to before it is empty") {
    box b;
    std::array<int, 4> items{};
    b.put(&items[0]);
    b.put(&items[1]);
    CHECK(b.take() == &items[0]);
    CHECK(b.room() == 3);
    b.put(&items[2]);
    CHECK(b.take() == &items[1]);
    CHECK(b.take() == &items[2]);
    CHECK(b.take() == nullptr);
}

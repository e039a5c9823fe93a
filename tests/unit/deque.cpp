// SPDX-License-Identifier: BSL-1.0
// The work-stealing deque, one thread at a time. race_deque.cpp lets the threads meet.
#include <concur/detail/sync/deque.hpp>

#include <doctest/doctest.h>

#include <numeric>
#include <vector>

using deque = concur::detail::work_deque<int>;

namespace {

std::vector<int> numbers(std::size_t n) {
    std::vector<int> result(n);
    std::iota(result.begin(), result.end(), 0);
    return result;
}

}  // namespace

TEST_CASE("deque: empty gives nothing, at either end") {
    deque d;
    CHECK(d.empty());
    CHECK(d.pop() == nullptr);
    CHECK(d.steal() == nullptr);
    CHECK(d.pop() == nullptr);
    CHECK(d.bottom() == 0);
}

TEST_CASE("deque: the owner pops the newest, a thief takes the oldest") {
    deque d;
    auto items = numbers(4);
    for (auto& i : items) d.push(&i);
    CHECK_FALSE(d.empty());
    CHECK(d.pop() == &items[3]);
    CHECK(d.steal() == &items[0]);
    CHECK(d.pop() == &items[2]);
    CHECK(d.steal() == &items[1]);
    CHECK(d.empty());
    CHECK(d.steal() == nullptr);
    CHECK(d.pop() == nullptr);
}

TEST_CASE("deque: the last item goes to whoever asks, and the deque is usable afterwards") {
    deque d;
    auto items = numbers(2);
    for (int round = 0; round != 3; ++round) {
        d.push(&items[0]);
        CHECK(d.pop() == &items[0]);
        CHECK(d.empty());
        d.push(&items[1]);
        CHECK(d.steal() == &items[1]);
        CHECK(d.empty());
    }
}

TEST_CASE("deque: grows with items in it, wrapped around the end of the ring") {
    deque d;
    constexpr std::size_t size = 5000;
    auto items = numbers(size);
    // Positions well inside the ring first, so that growing has to unwrap.
    for (std::size_t i = 0; i != 200; ++i) {
        d.push(&items[i]);
        REQUIRE(d.steal() == &items[i]);
    }
    for (auto& i : items) d.push(&i);
    for (std::size_t i = 0; i != size / 2; ++i) {
        REQUIRE(d.steal() == &items[i]);
        REQUIRE(d.pop() == &items[size - 1 - i]);
    }
    CHECK(d.empty());
}

TEST_CASE("deque: pop_if takes the newest item only") {
    deque d;
    auto items = numbers(2);
    CHECK_FALSE(d.pop_if(&items[0]));
    d.push(&items[0]);
    d.push(&items[1]);
    CHECK_FALSE(d.pop_if(&items[0]));
    CHECK(d.pop_if(&items[1]));
    CHECK_FALSE(d.pop_if(&items[1]));
    CHECK(d.pop_if(&items[0]));
    CHECK(d.empty());
    CHECK_FALSE(d.pop_if(&items[0]));
}

TEST_CASE("deque: steal(mark) leaves what lies below the mark") {
    deque d;
    auto items = numbers(4);
    d.push(&items[0]);
    d.push(&items[1]);
    const auto mark = d.bottom();
    CHECK(mark == 2);
    CHECK(d.steal(mark) == nullptr);
    d.push(&items[2]);
    d.push(&items[3]);
    CHECK(d.steal(mark) == nullptr);  // the oldest lies below
    CHECK(d.steal() == &items[0]);
    CHECK(d.steal(mark) == nullptr);
    CHECK(d.steal() == &items[1]);
    CHECK(d.steal(mark) == &items[2]);
    CHECK(d.steal(mark) == &items[3]);
    CHECK(d.steal(mark) == nullptr);
}

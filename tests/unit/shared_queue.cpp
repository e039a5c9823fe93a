// SPDX-License-Identifier: BSL-1.0
// shared_queue in one process and its forks: what the interface promises. (Threads at once:
// race_shared_queue.cpp; kills: ../process/shared_queue_kill.cpp.)
#include <concur/shared_queue.hpp>

#include <doctest/doctest.h>

#include <sys/wait.h>

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>

using concur::shared_queue;

namespace {

template <class F>
std::string error_of(F f) {
    try {
        f();
    } catch (const std::exception& e) {
        return e.what();
    }
    return "";
}

struct without_default {
    explicit without_default(int v) : value(v) {}
    int value;
};

struct three_bytes {
    std::array<char, 3> text;
};

struct large {
    std::array<std::uint64_t, 1000> words;
};

}  // namespace

TEST_CASE("shared_queue: first in, first out, up to its capacity, many times round") {
    for (const int capacity : {1, 2, 3, 7, 64, 65}) {
        const shared_queue<int> q(capacity);
        CHECK(q.capacity() == static_cast<std::size_t>(capacity));
        CHECK(q.empty());
        CHECK(!q.try_pop());
        int in = 0, out = 0;
        for (int round = 0; round != 200; ++round) {
            const int most = round % (capacity + 1) + 1;
            for (int i = 0; i != most; ++i) {
                const bool fits = in - out < capacity;
                REQUIRE(q.try_push(in) == fits);
                if (fits) ++in;
            }
            REQUIRE(q.size() == static_cast<std::size_t>(in - out));
            for (int i = 0; i != most / 2 + 1; ++i) {
                const auto got = q.try_pop();
                REQUIRE(got.has_value() == (out != in));
                if (got) REQUIRE(*got == out++);
            }
        }
    }
}

TEST_CASE("shared_queue: items of any size") {
    const shared_queue<char> letters(2);
    CHECK(letters.try_push('x'));
    CHECK(letters.try_pop() == 'x');

    const shared_queue<without_default> plain(2);
    CHECK(plain.try_push(without_default(7)));
    CHECK(plain.try_pop().value().value == 7);

    const shared_queue<three_bytes> threes(2);
    CHECK(threes.try_push({{'a', 'b', 'c'}}));
    CHECK(threes.try_pop().value().text == std::array{'a', 'b', 'c'});

    const shared_queue<large> larges(3);
    for (std::uint64_t i = 0; i != 20; ++i) {
        large item{};
        for (auto& word : item.words) word = i;
        CHECK(larges.try_push(item));
        CHECK(larges.try_pop().value().words == item.words);
    }
}

TEST_CASE("shared_queue: handles") {
    static_assert(!std::is_default_constructible_v<shared_queue<int>>);
    static_assert(std::is_copy_assignable_v<shared_queue<int>>);
    shared_queue<int> a(4);
    const auto copy = a;
    const shared_queue<int> other(4);
    CHECK(copy == a);
    CHECK(!(other == a));
    CHECK(a.try_push(1));
    CHECK(copy.try_pop() == 1);
    CHECK(copy.try_push(2));
    a = other;
    CHECK(a == other);
    CHECK(!a.try_pop());
    CHECK(copy.try_pop() == 2);
}

TEST_CASE("shared_queue: a capacity that cannot be") {
    const auto message = [](auto capacity) {
        return error_of([&] { shared_queue<int> q(capacity); });
    };
    CHECK(message(0) == "shared_queue: a capacity of 0; it must be from 1 to 16777152 items");
    CHECK(message(-5) == "shared_queue: a capacity of -5; it must be from 1 to 16777152 items");
    CHECK(message(16'777'153ul) ==
          "shared_queue: a capacity of 16777153; it must be from 1 to 16777152 items");
    CHECK(message(~0ull) ==
          "shared_queue: a capacity of 18446744073709551615; it must be from 1 to 16777152 items");
    CHECK_THROWS_AS(shared_queue<int>(0), std::invalid_argument);
    using huge = std::array<char, std::size_t{1} << 40>;
    CHECK_THROWS_AS(shared_queue<huge>(16'000'000), std::length_error);
}

TEST_CASE("shared_queue: only pages that are touched cost something") {
    const shared_queue<std::array<char, 1000>> q(200'000);  // 200 MB
    CHECK(q.capacity() == 200'000);
    CHECK(q.try_push({}));
    CHECK(q.size() == 1);
}

TEST_CASE("shared_queue: a forked child is another process on the same queue") {
    const shared_queue<int> q(2);
    REQUIRE(q.try_push(1));
    const auto child = fork();
    if (child == 0) {
        const bool good = q.try_pop() == 1 && q.try_push(2) && q.try_push(3) && !q.try_push(4);
        _exit(good ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK(status == 0);
    CHECK(q.size() == 2);
    CHECK(q.try_pop() == 2);
    CHECK(q.try_pop() == 3);
    CHECK(!q.try_pop());
}

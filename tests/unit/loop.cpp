// SPDX-License-Identifier: BSL-1.0
// The loop behind for_each: every position once, whatever the sizes; the first failure in input
// order wins.
#include "../conformance/tools.hpp"
#include "../conformance/watchdog.hpp"
#include "load.hpp"

#include <concur/thread_pool.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <ranges>
#include <string>
#include <vector>

using conformance::watchdog;

namespace {

auto positions(std::size_t n) { return std::views::iota(std::size_t{0}, n); }

}  // namespace

TEST_CASE("loop: every position exactly once, for many sizes, chunks and workers") {
    const watchdog guard;
    for (const std::size_t workers : {1u, 2u, 3u, 8u}) {
        concur::thread_pool pool(workers);
        for (const std::size_t size : {0u, 1u, 2u, 3u, 7u, 16u, 17u, 100u, 1000u, 20'011u}) {
            for (const std::size_t chunk : {0u, 1u, 2u, 7u, 1000u, 100'000u}) {
                CAPTURE(workers);
                CAPTURE(size);
                CAPTURE(chunk);
                const std::unique_ptr<std::atomic<int>[]> seen(new std::atomic<int>[size]());
                pool.for_each(
                    {.chunk_size = chunk}, [&](std::size_t i) { ++seen[i]; }, positions(size));
                REQUIRE(std::all_of(seen.get(), seen.get() + size,
                                    [](const std::atomic<int>& s) { return s == 1; }));
            }
        }
    }
}

TEST_CASE("loop: two threads loop on one pool at the same time") {
    const watchdog guard;
    constexpr std::size_t rounds = unit::load(2000), size = 100;
    concur::thread_pool pool(2);
    std::atomic<std::size_t> sum = 0;
    {
        const auto loops = [&] {
            for (std::size_t round = 0; round != rounds; ++round) {
                pool.for_each([&](std::size_t i) { sum += i; }, positions(size));
            }
        };
        const std::jthread a(loops), b(loops), c(loops);
    }
    CHECK(sum == 3 * rounds * (size * (size - 1) / 2));
    pool.wait_idle();
    CHECK(pool.stats().completed == 3 * rounds * size);
    CHECK(pool.stats().pending == 0);
}

TEST_CASE("loop: the first failure in input order wins, and everything before it has run") {
    const watchdog guard;
    constexpr std::size_t size = 500;
    for (const std::size_t workers : {1u, 2u, 4u}) {
        concur::thread_pool pool(workers);
        for (std::size_t round = 0; round != unit::load(400); ++round) {
            const auto first = round * 7 % size;
            std::vector<std::atomic<int>> seen(size);
            std::string text;
            try {
                pool.for_each(
                    {.chunk_size = 1 + round % 5},
                    [&](std::size_t i) {
                        ++seen[i];
                        if (i >= first && (i - first) % 3 == 0) {
                            throw std::runtime_error(std::to_string(i));
                        }
                    },
                    positions(size));
            } catch (const std::runtime_error& e) {
                text = e.what();
            }
            REQUIRE(text == std::to_string(first));
            for (std::size_t i = 0; i != size; ++i) REQUIRE(seen[i] <= 1);
            for (std::size_t i = 0; i <= first; ++i) REQUIRE(seen[i] == 1);
        }
    }
}

TEST_CASE("loop: a failure does not wait for workers that are busy with something else") {
    const watchdog guard("a loop that has failed");
    concur::thread_pool pool(2);
    conformance::gate started, door;
    auto busy = pool.submit([&] {
        started.open();
        door.wait();
    });
    {
        const conformance::opens_at_exit opens(door);
        started.wait();
        CHECK_THROWS_AS(
            pool.for_each([](int) { throw std::runtime_error("no"); }, conformance::numbers(100)),
            std::runtime_error);
        CHECK_FALSE(busy.done());
        std::atomic<int> ran = 0;
        pool.for_each([&](int) { ++ran; }, conformance::numbers(100));
        CHECK(ran == 100);
        CHECK_FALSE(busy.done());
    }
    busy.get();
}

TEST_CASE("loop: executors within one another keep their own counts") {
    const watchdog guard;
    concur::thread_pool a(2), b(2);
    a.submit([&] {
         b.for_each(
             [&](int) {
                 a.for_each([](int) {}, conformance::numbers(3));
                 a.submit([] {}).get();
             },
             conformance::numbers(4));
     }).get();
    a.wait_idle();
    b.wait_idle();
    CHECK(a.stats().completed == 1 + 4 * 3 + 4);
    CHECK(b.stats().completed == 4);
    for (const auto& s : {a.stats(), b.stats()}) {
        CHECK(s.pending == 0);
        CHECK(s.running == 0);
    }
}

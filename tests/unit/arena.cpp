// SPDX-License-Identifier: BSL-1.0
// The arenas: ranges do not overlap, come back whole, and come again before fresh memory does.
#include <concur/detail/ipc/arena.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <random>
#include <vector>

using concur::detail::arena;
using concur::detail::give_back_reply;
using concur::detail::reply_arena;

namespace {

/// Zeroed, at a multiple of 64.
struct region {
    struct alignas(64) line {
        std::byte bytes[64];
    };
    explicit region(std::size_t bytes) : lines(bytes / 64) {}
    std::byte* data() { return lines[0].bytes; }
    std::vector<line> lines;
};

}  // namespace

TEST_CASE("arena: ranges at multiples of 64, and an error when it is full") {
    arena a(1000);
    CHECK(a.size() == 960);
    CHECK(a.allocate(1) % 64 == 0);
    CHECK(a.bytes_in_use() == 64);
    CHECK(a.allocate(0) % 64 == 0);
    CHECK(a.allocate(65) % 64 == 0);
    CHECK(a.bytes_in_use() == 256);
    CHECK(a.try_allocate(961) == arena::none);
    CHECK(a.try_allocate(~std::uint64_t{0}) == arena::none);
    CHECK_THROWS_AS(a.allocate(960), std::bad_alloc);
    for (int i = 0; i != 11; ++i) CHECK(a.try_allocate(64) != arena::none);
    CHECK(a.bytes_in_use() == 960);
    CHECK(a.try_allocate(1) == arena::none);
    CHECK(arena().try_allocate(1) == arena::none);
    CHECK(arena(63).try_allocate(0) == arena::none);
}

TEST_CASE("arena: what was used before comes before fresh memory, the lowest first") {
    arena a(std::uint64_t{1} << 40);
    const auto one = a.allocate(100'000);
    const auto two = a.allocate(10'000);
    const auto three = a.allocate(100'000);
    const auto four = a.allocate(10'000);
    CHECK(four != arena::none);
    a.free(three, 100'000);
    a.free(one, 100'000);
    CHECK(a.allocate(90'000) == one);
    CHECK(a.allocate(100'000) == three);
    a.free(two, 10'000);
    CHECK(a.allocate(9'990) < three);
    const auto small = a.allocate(200);
    a.free(small, 200);
    CHECK(a.allocate(200) == small);
}

TEST_CASE("arena: free ranges join, from either side and across small blocks") {
    constexpr std::uint64_t size = 1 << 20;
    for (const bool up : {true, false}) {
        for (const std::uint64_t bytes : {64u, 192u, 4096u, 8192u, 65536u}) {
            arena a(size);
            std::vector<std::uint64_t> all;
            for (std::uint64_t one = 0; (one = a.try_allocate(bytes)) != arena::none;) {
                all.push_back(one);
            }
            CHECK(all.size() == size / bytes);
            CHECK(a.try_allocate(bytes) == arena::none);
            for (std::size_t i = 0; i != all.size(); ++i) {
                a.free(up ? all[i] : all[all.size() - 1 - i], bytes);
            }
            CHECK(a.bytes_in_use() == 0);
            CHECK(a.allocate(size) == 0u);
            CHECK(a.bytes_lost() == 0);
        }
    }
}

TEST_CASE("arena: a long random run against a map of what is taken") {
    constexpr std::uint64_t size = 8 << 20;
    arena a(size);
    std::map<std::uint64_t, std::uint64_t> taken;  // offset, bytes asked for
    std::mt19937 random(7);
    std::uint64_t in_use = 0;
    std::size_t refused = 0;
    const auto rounded = [](std::uint64_t bytes) -> std::uint64_t {
        return bytes == 0 ? 64 : (bytes + 63) / 64 * 64;
    };
    for (int step = 0; step != 200'000; ++step) {
        const bool growing = step / 10'000 % 2 == 0;
        if (random() % 8 < (growing ? 6u : 2u) || taken.empty()) {
            const std::uint64_t bytes = random() % (random() % 4 == 0 ? 100'000
                                                    : random() % 2    ? 5'000
                                                                      : 300);
            const auto offset = a.try_allocate(bytes);
            if (offset == arena::none) {
                ++refused;
                continue;
            }
            REQUIRE(offset % 64 == 0);
            REQUIRE(offset + rounded(bytes) <= size);
            const auto after = taken.lower_bound(offset);
            if (after != taken.end()) REQUIRE(offset + rounded(bytes) <= after->first);
            if (after != taken.begin()) {
                const auto before = std::prev(after);
                REQUIRE(before->first + rounded(before->second) <= offset);
            }
            taken.emplace_hint(after, offset, bytes);
            in_use += rounded(bytes);
        } else {
            auto victim = taken.lower_bound(random() % size);
            if (victim == taken.end()) victim = taken.begin();
            a.free(victim->first, victim->second);
            in_use -= rounded(victim->second);
            taken.erase(victim);
        }
        REQUIRE(a.bytes_in_use() == in_use);
    }
    MESSAGE("refused: " << refused);
    CHECK(refused > 0);
    for (const auto& [offset, bytes] : taken) a.free(offset, bytes);
    CHECK(a.allocate(size) == 0u);
}

TEST_CASE("arena: a great many small blocks freed are there for a large one") {
    constexpr std::uint64_t size = 64 << 20;
    arena a(size);
    std::vector<std::uint64_t> all;
    for (int i = 0; i != 200'000; ++i) all.push_back(a.allocate(300));
    for (const auto one : all) a.free(one, 300);
    CHECK(a.allocate(size) == 0u);
}

TEST_CASE("reply_arena: blocks come back through shared memory") {
    constexpr std::size_t size = 1 << 16;
    region memory(size);
    reply_arena worker(memory.data(), size);
    CHECK(worker.try_allocate(size) == reply_arena::none);
    std::vector<std::uint64_t> all;
    for (int turn = 0; turn != 3; ++turn) {
        for (std::uint64_t one = 0; (one = worker.try_allocate(1000)) != reply_arena::none;) {
            REQUIRE(one != 0);
            REQUIRE(one % 64 == 0);
            REQUIRE(one + 1000 <= size);
            std::memset(memory.data() + one, 0xff, 1000);
            all.push_back(one);
        }
        CHECK(all.size() == (size - 64) / (1024 + 64));
        CHECK(worker.bytes_in_use() == all.size() * (1024 + 64));
        for (const auto one : all) {
            if (one % 128 == 0) {
                give_back_reply(memory.data(), one);
            } else {
                worker.free(one);
            }
        }
        all.clear();
        CHECK(worker.bytes_in_use() == 0);
    }
    CHECK(worker.try_allocate(size - 128) != reply_arena::none);
    CHECK(worker.try_allocate(~std::uint64_t{0}) == reply_arena::none);
    region tiny(64);
    CHECK(reply_arena(tiny.data(), 64).try_allocate(0) == reply_arena::none);
}

// SPDX-License-Identifier: BSL-1.0
// Memory for task nodes: blocks of each kind, from thread to thread, and back to the system.
#include "load.hpp"

#include <concur/detail/sync/node_cache.hpp>

#include <doctest/doctest.h>

#include <unistd.h>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>
#include <set>
#include <thread>
#include <vector>

using namespace concur::detail;

namespace {

std::size_t resident_bytes() {
    std::size_t total = 0, resident = 0;
    if (std::FILE* const file = std::fopen("/proc/self/statm", "re")) {
        if (std::fscanf(file, "%zu %zu", &total, &resident) != 2) resident = 0;
        std::fclose(file);
    }
    return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

template <std::size_t Bytes, std::size_t Alignment = 8>
void check_blocks_of() {
    CAPTURE(Bytes);
    constexpr std::size_t n = 3000;  // more than a slab holds of the smallest
    std::vector<unsigned char*> blocks;
    for (std::size_t i = 0; i != n; ++i) {
        auto* const p = static_cast<unsigned char*>(allocate_node<Bytes, Alignment>());
        REQUIRE(reinterpret_cast<std::uintptr_t>(p) % Alignment == 0);
        std::memset(p, static_cast<int>(i % 251), Bytes);
        blocks.push_back(p);
    }
    // Nobody else wrote into a block: they do not overlap.
    std::size_t wrong = 0;
    for (std::size_t i = 0; i != n; ++i) {
        for (std::size_t at = 0; at != Bytes; ++at) wrong += blocks[i][at] != i % 251;
    }
    CHECK(wrong == 0);
    CHECK(std::set<unsigned char*>(blocks.begin(), blocks.end()).size() == n);
    for (auto* p : blocks) deallocate_node<Bytes, Alignment>(p);
}

}  // namespace

static_assert(block_kind(1) == 0 && block_kind(64) == 0);
static_assert(block_kind(65) == 1 && block_kind(128) == 1);
static_assert(block_kind(129) == 2 && block_kind(256) == 2);
static_assert(block_kind(257) == node_kinds, "larger ones come from operator new");

TEST_CASE("node_cache: blocks of each kind, and of none") {
    check_blocks_of<1>();
    check_blocks_of<64, 64>();
    check_blocks_of<65>();
    check_blocks_of<128, 64>();
    check_blocks_of<200>();
    check_blocks_of<256, 64>();
    check_blocks_of<257>();
    check_blocks_of<64, 128>();
    check_blocks_of<1000, 256>();
}

// With AddressSanitizer there is no cache, and ThreadSanitizer has memory of its own.
TEST_CASE("node_cache: a block that was given back comes again" * doctest::skip(!recycle_nodes)) {
    void* const first = allocate_node<64, 64>();
    deallocate_node<64, 64>(first);
    void* const second = allocate_node<64, 64>();
    CHECK(second == first);
    deallocate_node<64, 64>(second);
}

TEST_CASE("node_cache: one thread takes, another gives back, and memory does not grow" *
          doctest::skip(!recycle_nodes)) {
    constexpr std::size_t batch = 10'000, rounds = 50;
    std::vector<void*> blocks(batch);
    std::atomic<std::size_t> turn = 0;
    std::size_t early = 0, late = 0;
    {
        const std::jthread other([&] {
            for (std::size_t round = 0; round != rounds; ++round) {
                while (turn != 2 * round + 1) std::this_thread::yield();
                for (void* p : blocks) deallocate_node<256, 64>(p);
                turn = 2 * round + 2;
            }
        });
        for (std::size_t round = 0; round != rounds; ++round) {
            for (auto& p : blocks) {
                p = allocate_node<256, 64>();
                std::memset(p, 1, 256);
            }
            turn = 2 * round + 1;
            while (turn != 2 * round + 2) std::this_thread::yield();
            if (round == 9) early = resident_bytes();
        }
        late = resident_bytes();
    }
    // Without the way back each round would cost 2.5 MB: 100 MB in all.
    CHECK(late < early + (10u << 20));
}

TEST_CASE("node_cache: a thread that ends gives its blocks back" * doctest::skip(!recycle_nodes)) {
    const auto one_thread = [] {
        std::thread([] {
            std::vector<void*> blocks(500);
            for (auto& p : blocks) p = allocate_node<128, 64>();
            for (auto* p : blocks) std::memset(p, 1, 128);
            for (auto* p : blocks) deallocate_node<128, 64>(p);
        }).join();
    };
    for (int i = 0; i != 100; ++i) one_thread();
    const auto before = resident_bytes();
    for (int i = 0; i != 3000; ++i) one_thread();
    // One lost chain of 64 for each thread would be 24 MB.
    CHECK(resident_bytes() < before + (10u << 20));
}

TEST_CASE("node_cache: trim_memory gives whole slabs back to the system" *
          doctest::skip(!recycle_nodes || unit::sanitized)) {
    constexpr std::size_t n = 200'000;  // 50 MB, below what is kept by itself
    const auto start = resident_bytes();
    std::vector<void*> blocks(n);
    for (auto& p : blocks) {
        p = allocate_node<256, 64>();
        std::memset(p, 1, 256);
    }
    const auto full = resident_bytes();
    REQUIRE(full > start + n * 256 / 2);
    for (auto* p : blocks) deallocate_node<256, 64>(p);
    concur::trim_memory();
    // Blocks that this thread keeps pin a few slabs.
    CHECK(resident_bytes() < full - n * 256 * 3 / 4);
    check_blocks_of<256, 64>();
}

TEST_CASE("node_cache: what is kept is bounded without a call" *
          doctest::skip(!recycle_nodes || unit::sanitized)) {
    constexpr std::size_t n = 800'000;  // 200 MB; 128 MiB are kept
    std::vector<void*> blocks(n);
    for (auto& p : blocks) {
        p = allocate_node<256, 64>();
        std::memset(p, 1, 256);
    }
    const auto full = resident_bytes();
    for (auto* p : blocks) deallocate_node<256, 64>(p);
    CHECK(resident_bytes() < full - n * 256 + (144u << 20));
    concur::trim_memory();
}

TEST_CASE("node_cache: trimming beside threads that take and give") {
    std::atomic<bool> over = false;
    const auto works = [&](unsigned seed) {
        std::vector<unsigned char*> mine(300);
        std::size_t wrong = 0;
        for (std::size_t round = 0; round != unit::load(2000); ++round) {
            for (auto& p : mine) {
                p = static_cast<unsigned char*>(allocate_node<100, 8>());
                std::memset(p, static_cast<int>(seed), 100);
            }
            for (auto* p : mine) {
                wrong += p[0] != seed || p[99] != seed;
                deallocate_node<100, 8>(p);
            }
        }
        CHECK(wrong == 0);
    };
    std::jthread trims([&] {
        while (!over) concur::trim_memory();
    });
    {
        const std::jthread a(works, 1u), b(works, 2u);
    }
    over = true;
}

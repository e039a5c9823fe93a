// SPDX-License-Identifier: BSL-1.0
// Blocks of a reply_arena that two threads give back while the worker allocates: none is lost, none
// is used twice at a time.
#include "../conformance/watchdog.hpp"
#include "load.hpp"

#include <concur/detail/ipc/arena.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

using concur::detail::give_back_reply;
using concur::detail::reply_arena;

TEST_CASE("reply_arena: two threads give back what a third allocates") {
    const conformance::watchdog guard;
    constexpr std::size_t size = 1 << 14;
    constexpr std::size_t total = unit::load(1'000'000);
    struct alignas(64) line {
        std::byte bytes[64];
    };
    std::vector<line> memory(size / 64);
    std::byte* const region = memory[0].bytes;
    std::atomic<std::uint64_t> way[2] = {};  // a block on its way to a thread; 0: none, 1: the end
    std::atomic<int> wrong = 0;
    const auto take_back = [&](std::size_t me) {
        for (std::vector<std::uint64_t> held;;) {
            const auto block = way[me].exchange(0);
            if (block == 0) std::this_thread::yield();
            if (block > 1) held.push_back(block);
            while (held.size() > (block > 1 ? 5 : 0)) {
                std::uint64_t value = 0;  // not atomic: the order of the returns keeps it in place
                std::memcpy(&value, region + held.front(), sizeof value);
                if (value != held.front()) ++wrong;
                give_back_reply(region, held.front());
                held.erase(held.begin());
            }
            if (block == 1) return;
        }
    };
    reply_arena worker(region, size);
    {
        const std::jthread a(take_back, 0), b(take_back, 1);
        const auto send = [&](std::size_t whom, std::uint64_t what) {
            for (std::uint64_t none = 0; !way[whom].compare_exchange_weak(none, what); none = 0) {
                std::this_thread::yield();
            }
        };
        for (std::size_t i = 0; i != total; ++i) {
            auto block = reply_arena::none;
            while ((block = worker.try_allocate(8 + i % 7 * 100)) == reply_arena::none) {
                std::this_thread::yield();
            }
            std::memcpy(region + block, &block, sizeof block);
            send(i % 2, block);
        }
        send(0, 1);
        send(1, 1);
    }
    CHECK(wrong == 0);
    CHECK(worker.bytes_in_use() == 0);
    CHECK(worker.try_allocate(size - 128) != reply_arena::none);
}

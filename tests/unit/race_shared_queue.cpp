// SPDX-License-Identifier: BSL-1.0
// The queue between processes with threads that push and pop at once, and threads that begin a push
// or a look: every item comes out once, whole, and in its producer's order.
// (ThreadSanitizer sees nothing between processes; hence threads.)
#include "../conformance/watchdog.hpp"
#include "load.hpp"

#include <concur/detail/ipc/queue.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

using concur::detail::mix64;
using concur::detail::queue_shape;
using concur::detail::typed_queue_view;

namespace {

template <std::size_t Words>
struct item {
    std::uint64_t words[Words];

    static item of(std::uint64_t producer, std::uint64_t number) {
        item made{};
        for (std::size_t i = 0; i != Words; ++i) {
            made.words[i] = i == 0 ? producer << 32 | number : mix64(made.words[0] + i);
        }
        return made;
    }
    std::uint64_t producer() const { return words[0] >> 32; }
    std::uint64_t number() const { return words[0] & 0xffffffff; }
    bool whole() const {
        const auto other = of(producer(), number());
        for (std::size_t i = 0; i != Words; ++i) {
            if (words[i] != other.words[i]) return false;
        }
        return true;
    }
};

template <class T>
struct queue {
    explicit queue(std::uint32_t capacity)
        : memory(static_cast<std::byte*>(
              std::aligned_alloc(64, (queue_shape(capacity, sizeof(T)).bytes() + 63) / 64 * 64))),
          view((std::memset(memory.get(), 0, queue_shape(capacity, sizeof(T)).bytes()),
                memory.get()),
               capacity) {}
    struct free_it {
        void operator()(std::byte* p) const { std::free(p); }
    };
    std::unique_ptr<std::byte, free_it> memory;
    typed_queue_view<T> view;
};

template <std::size_t Words>
void run(std::uint32_t capacity, std::size_t producers, std::size_t consumers, std::size_t each) {
    using thing = item<Words>;
    queue<thing> q(capacity);
    std::atomic<std::size_t> popped = 0, wrong = 0, full = 0, empty = 0;
    std::vector<std::vector<std::vector<std::uint64_t>>> seen(
        consumers, std::vector<std::vector<std::uint64_t>>(producers));
    {
        std::vector<std::jthread> threads;
        for (std::size_t me = 0; me != producers; ++me) {
            threads.emplace_back([&, me] {
                auto mine = q.view;
                for (std::uint64_t i = 0; i != each; ++i) {
                    while (!mine.push(thing::of(me, i))) {
                        ++full;
                        std::this_thread::yield();
                    }
                }
            });
        }
        for (std::size_t me = 0; me != consumers; ++me) {
            threads.emplace_back([&, me] {
                auto mine = q.view;
                while (popped != producers * each) {
                    if (mine.size() > capacity) ++wrong;
                    const auto got = mine.pop();
                    if (!got) {
                        ++empty;
                        std::this_thread::yield();
                        continue;
                    }
                    ++popped;
                    if (got->whole() && got->producer() < producers) {
                        seen[me][got->producer()].push_back(got->number());
                    } else {
                        ++wrong;
                    }
                }
            });
        }
    }
    MESSAGE("found it full " << full.load() << " times, empty " << empty.load() << " times");
    CHECK(wrong == 0);
    CHECK(q.view.size() == 0);
    CHECK(!q.view.pop());
    for (std::size_t p = 0; p != producers; ++p) {
        std::vector<int> times(each);
        std::size_t disorder = 0;
        for (std::size_t c = 0; c != consumers; ++c) {
            const auto& numbers = seen[c][p];
            for (std::size_t i = 0; i != numbers.size(); ++i) {
                ++times.at(numbers[i]);
                if (i != 0 && numbers[i - 1] >= numbers[i]) ++disorder;
            }
        }
        CHECK(disorder == 0);
        std::size_t not_once = 0;
        for (const int n : times) not_once += n != 1;
        CHECK(not_once == 0);
    }
    for (std::uint32_t i = 0; i != capacity; ++i) CHECK(q.view.push(thing::of(0, i)));
    CHECK(!q.view.push(thing::of(0, 0)));
    CHECK(q.view.size() == capacity);
}

}  // namespace

TEST_CASE("shared queue: threads push and pop, and every item comes out once") {
    const conformance::watchdog guard;
    SUBCASE("one to one") { run<1>(64, 1, 1, unit::load(1'000'000)); }
    SUBCASE("one place") { run<1>(1, 2, 2, unit::load(100'000)); }
    SUBCASE("two places, three words") { run<3>(2, 2, 2, unit::load(100'000)); }
    SUBCASE("some places") { run<4>(100, 3, 3, unit::load(200'000)); }
    SUBCASE("large items") { run<600>(4, 2, 2, unit::load(10'000)); }
    SUBCASE("more threads than spare nodes") { run<5000>(40, 12, 4, unit::load(500)); }
}

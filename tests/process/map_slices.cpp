// SPDX-License-Identifier: BSL-1.0
// Maps whose ranges travel as slices and whose results come back in runs: the same items, results,
// failures and losses as item by item, for every kind of range and of element.
#include "../conformance/watchdog.hpp"

#include <concur/process_pool.hpp>

#include <doctest/doctest.h>

#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <limits>
#include <list>
#include <optional>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

using conformance::watchdog;
using std::views::iota;

namespace {

template <class... Ranges>
constexpr bool sliced =
    std::is_same_v<concur::detail::far_source<Ranges...>, concur::detail::sliced_source<Ranges...>>;

struct pixel {
    std::uint8_t red = 0, green = 0;
    float depth = 0;
    bool seen = false;
    bool operator==(const pixel&) const = default;
};
struct alignas(64) wide {
    int value = 0;
    bool operator==(const wide&) const = default;
};
struct nothing {
    bool operator==(const nothing&) const = default;
};

static_assert(sliced<std::ranges::iota_view<int, int>>);
static_assert(sliced<std::vector<int>&, std::ranges::iota_view<std::size_t>>);
static_assert(sliced<const std::array<bool, 3>&, std::span<const pixel>, std::string>);
static_assert(!sliced<std::vector<bool>&>);
static_assert(!sliced<std::list<int>&>);
static_assert(!sliced<std::vector<int>&, std::list<int>&>);
static_assert(!sliced<std::vector<std::string>&>);
static_assert(!sliced<std::vector<nothing>&>);

/// f gives the same as a loop in this process, for chunks of any size.
template <class F, class... Ranges>
void same_as_loop(concur::process_pool& pool, F f, std::size_t n, const Ranges&... ranges) {
    for (const std::size_t chunk : {1u, 7u, 1000u}) {
        const auto results = pool.map({.chunk_size = chunk}, f, ranges...).collect();
        REQUIRE(results.size() == n);
        auto expected = std::tuple(std::ranges::begin(ranges)...);
        for (std::size_t i = 0; i != n; ++i) {
            std::apply(
                [&](auto&... it) {
                    CHECK(results[i] == f(*it...));
                    (++it, ...);
                },
                expected);
        }
    }
}

template <class T>
void counts(concur::process_pool& pool, T first, T last) {
    const auto same = [](T x) { return x; };
    same_as_loop(pool, same, static_cast<std::size_t>(last - first), iota(first, last));
}

constexpr auto throws_at_three_of_five = [](int i) {
    if (i % 5 == 3) throw std::out_of_range(std::to_string(i));
    return i;
};

int kill_at_37(int i) {
    if (i == 37 && concur::this_task::attempt() == 1) kill(getpid(), SIGKILL);
    return i + concur::this_task::attempt();
}

}  // namespace

TEST_CASE("slices: numbers that count up, of every type") {
    const watchdog guard;
    concur::process_pool pool(2);
    counts<int>(pool, -50, 50);
    counts<unsigned>(pool, 0, 100);
    counts<long>(pool, std::numeric_limits<long>::max() - 100, std::numeric_limits<long>::max());
    counts<long>(pool, std::numeric_limits<long>::min(), std::numeric_limits<long>::min() + 100);
    counts<std::size_t>(pool, std::numeric_limits<std::size_t>::max() - 100,
                        std::numeric_limits<std::size_t>::max());
    counts<char>(pool, 'a', 'z');
    counts<signed char>(pool, -128, 127);
    counts<unsigned char>(pool, 0, 255);
    counts<short>(pool, -300, 300);
    counts<char16_t>(pool, u'a', u'z');
    counts<int>(pool, 4, 4);
}

TEST_CASE("slices: elements that stand one behind the other") {
    const watchdog guard;
    concur::process_pool pool(2);
    const auto same = [](auto x) { return x; };
    std::vector<double> doubles;
    std::vector<pixel> pixels;
    std::vector<wide> wides;
    for (int i = 0; i != 100; ++i) {
        doubles.push_back(i * 0.5);
        pixels.push_back({static_cast<std::uint8_t>(i), 7, static_cast<float>(i), i % 3 == 0});
        wides.push_back({i});
    }
    same_as_loop(pool, same, 100, doubles);
    same_as_loop(pool, same, 30, std::span(doubles).subspan(20, 30));
    same_as_loop(pool, same, 100, pixels);
    same_as_loop(pool, same, 100, wides);
    same_as_loop(pool, same, 3, std::array<bool, 3>{true, false, true});
    same_as_loop(pool, same, 11, std::string("some letter"));
    same_as_loop(pool, same, 0, std::vector<int>());
    const int numbers[] = {3, 1, 4};
    CHECK(pool.map(same, numbers).collect() == std::vector{3, 1, 4});
    CHECK(pool.map(same, std::vector{1, 2}).collect() == std::vector{1, 2});
}

TEST_CASE("slices: several ranges, up to the shortest") {
    const watchdog guard;
    concur::process_pool pool(2);
    const std::vector<double> doubles(50, 0.5);
    const auto sum = [](auto x, auto y) { return static_cast<double>(x) + static_cast<double>(y); };
    same_as_loop(pool, sum, 50, doubles, iota(3));
    same_as_loop(pool, sum, 20, iota(0, 20), doubles);
    same_as_loop(pool, sum, 9, iota(0, 9), iota(std::size_t{5}));
    const std::list<int> list{1, 2, 3};
    same_as_loop(pool, sum, 3, list, iota(0));
    same_as_loop(pool, sum, 3, doubles, list);
}

TEST_CASE("slices: results of every kind") {
    const watchdog guard;
    concur::process_pool pool(2);
    const auto items = iota(0, 100);
    same_as_loop(pool, [](int i) { return i % 3 == 0; }, 100, items);
    same_as_loop(
        pool, [](int i) { return pixel{1, 2, static_cast<float>(i), i % 2 == 0}; }, 100, items);
    same_as_loop(pool, [](int i) { return wide{i}; }, 100, items);
    same_as_loop(pool, [](int) { return nothing{}; }, 100, items);
    same_as_loop(pool, [](int i) { return std::pair(i, i % 2 == 0); }, 100, items);
    same_as_loop(pool, [](int i) { return std::tuple(static_cast<char>(i), 0.5 * i); }, 100, items);
    same_as_loop(
        pool, [](int i) { return std::pair(i % 2 == 0 ? &kill_at_37 : nullptr, i); }, 100, items);
    same_as_loop(pool, [](int i) { return std::optional(i); }, 100, items);
    same_as_loop(pool, [](int i) { return std::to_string(i); }, 100, items);
    pool.for_each([](int) {}, items);
    CHECK(pool.stats().failed == 0);
}

TEST_CASE("slices: what throws fails alone, wherever it stands") {
    const watchdog guard;
    concur::process_pool pool(2);
    for (const std::size_t chunk : {1u, 4u, 64u, 1000u}) {
        int at = 0;
        for (auto& one :
             pool.map({.chunk_size = chunk}, throws_at_three_of_five, iota(0, 200)).outcomes()) {
            CHECK(one.has_value() == (at % 5 != 3));
            CHECK((one ? std::to_string(*one) : one.what()) == std::to_string(at++));
        }
        CHECK(at == 200);
        int values = 0;
        for (auto& [position, one] :
             pool.map_unordered({.chunk_size = chunk}, throws_at_three_of_five, iota(0, 200))
                 .outcomes())
            values += one && static_cast<int>(position) == *one;
        CHECK(values == 160);
        CHECK_THROWS_WITH_AS(
            pool.map({.chunk_size = chunk}, throws_at_three_of_five, iota(4, 200)).collect(), "8",
            std::out_of_range);
        CHECK_THROWS_WITH_AS(
            pool.for_each(
                {.chunk_size = chunk}, [](int i) { static_cast<void>(throws_at_three_of_five(i)); },
                iota(4, 200)),
            "8", std::out_of_range);
    }
}

TEST_CASE("slices: a worker that is lost in the middle loses its item alone") {
    const watchdog guard;
    concur::process_pool pool(2);
    const std::vector<int> numbers{36, 37, 38};
    for (const std::size_t chunk : {1u, 10u, 100u}) {
        int at = 0;
        for (auto& one : pool.map({.chunk_size = chunk}, kill_at_37, iota(0, 100)).outcomes()) {
            CHECK(one.has_value() == (at != 37));
            if (one) CHECK(*one == at + 1);
            if (!one) CHECK_THROWS_AS(one.value(), concur::worker_lost);
            ++at;
        }
        CHECK(at == 100);
        const auto retried =
            pool.map({.chunk_size = chunk, .retries = 1}, kill_at_37, iota(0, 100)).collect();
        REQUIRE(retried.size() == 100);
        for (int i = 0; i != 100; ++i)
            CHECK(retried[static_cast<std::size_t>(i)] == i + (i == 37 ? 2 : 1));
        CHECK(pool.map({.chunk_size = chunk, .retries = 1}, kill_at_37, numbers).collect() ==
              std::vector{37, 39, 39});
    }
}

TEST_CASE("slices: failures around a worker that is lost") {
    const watchdog guard;
    concur::process_pool pool(2);
    const auto f = [](int i) {
        if (i % 9 == 4) throw std::out_of_range("nine");
        return kill_at_37(i);
    };
    int at = 0;
    for (auto& one : pool.map({.chunk_size = 100, .retries = 1}, f, iota(0, 100)).outcomes()) {
        CHECK(one.has_value() == (at % 9 != 4));
        if (one) CHECK(*one == at + (at == 37 ? 2 : 1));
        ++at;
    }
    CHECK(at == 100);
}

TEST_CASE("slices: a time limit ends its item alone") {
    const watchdog guard;
    concur::process_pool pool(2);
    const auto f = [](int i) {
        if (i == 5) std::this_thread::sleep_for(std::chrono::minutes(5));
        return i;
    };
    int at = 0;
    for (auto& one :
         pool.map({.chunk_size = 20, .timeout = std::chrono::milliseconds(300)}, f, iota(0, 20))
             .outcomes()) {
        CHECK(one.has_value() == (at != 5));
        if (!one) CHECK_THROWS_AS(one.value(), concur::timeout_error);
        ++at;
    }
    CHECK(at == 20);
}

TEST_CASE("slices: seeds are those of the items") {
    const watchdog guard;
    concur::process_pool pool(2);
    const auto seed = [](int) { return concur::this_task::seed(); };
    const auto seeds = pool.map({.chunk_size = 7, .seed = 3}, seed, iota(0, 50)).collect();
    CHECK(seeds == pool.map({.chunk_size = 50, .seed = 3}, seed, iota(0, 50)).collect());
    CHECK(seeds[0] != seeds[1]);
}

TEST_CASE("slices: a range is read when there is room for its items") {
    const watchdog guard;
    concur::process_pool pool(2);
    std::vector<int> numbers(10, 1);
    {
        auto results = pool.map({.chunk_size = 1, .window = 2}, [](int i) { return i; }, numbers);
        CHECK(*results.next() == 1);
        numbers[9] = 2;
        const auto rest = results.collect();
        CHECK(rest.size() == 9);
        CHECK(rest.back() == 2);
    }
    int at = 0;
    for (const int i : pool.map([](int n) { return n; }, iota(0))) {  // endless
        CHECK(i == at);
        if (++at == 5000) break;
    }
    pool.wait_idle();
    CHECK(at == 5000);
}

namespace {

/// A contiguous range whose beginning, or end, is not to be had.
struct broken_range {
    const int* from;
    bool no_begin;
    const int* begin() const {
        if (no_begin) throw std::runtime_error("no begin");
        return from;
    }
    const int* end() const {
        if (!no_begin) throw std::runtime_error("no end");
        return from;
    }
};

}  // namespace

TEST_CASE("slices: a range that throws fails where it threw") {
    const watchdog guard;
    concur::process_pool pool(2);
    const int number = 1;
    for (const bool no_begin : {true, false}) {
        const broken_range broken{&number, no_begin};
        static_assert(sliced<const broken_range&>);
        auto results = pool.map([](int i) { return i; }, broken);
        CHECK_THROWS_WITH_AS(results.collect(), no_begin ? "no begin" : "no end",
                             std::runtime_error);
    }
}

TEST_CASE("slices: leaves of a reduction") {
    const watchdog guard;
    concur::process_pool pool(2);
    const auto text = [](auto i) { return std::to_string(i) + " "; };
    const auto expected = [&](const auto& range) {
        std::string all = ">";
        for (auto&& i : range) all += text(i);
        return all;
    };
    for (const int n : {0, 1, 1000, 1024, 1025, 5000}) {
        const auto numbers = iota(-3, n - 3);
        const std::vector<long> copied(numbers.begin(), numbers.end());
        const std::list<int> list(numbers.begin(), numbers.end());
        const std::string start = ">";
        CHECK(pool.map_reduce(text, std::plus<>(), numbers, start) == expected(numbers));
        CHECK(pool.map_reduce(text, std::plus<>(), copied, start) == expected(copied));
        CHECK(pool.map_reduce(text, std::plus<>(), list, start) == expected(list));
    }
}

TEST_CASE("slices: a reply that is cut short fails its items") {
    using concur::detail::results_reader;
    const auto count_failures = []<class R>(const concur::detail::reply_view& reply) {
        results_reader<R> in(reply);
        std::size_t failures = 0;
        for (std::size_t i = 0; i != 10;) {
            const auto some = in.next(10 - i);
            REQUIRE(some.items != 0);
            for (std::size_t k = 0; k != some.items; ++k)
                failures += !in.outcome_at(some, k).has_value();
            i += some.items;
        }
        return failures;
    };
    alignas(64) std::byte bytes[128] = {};
    concur::detail::reply_view reply{concur::detail::reply_kind::items, 0, bytes, 0, 10};
    for (std::size_t size = 0; size != sizeof bytes; ++size) {
        reply.bytes = size;
        CHECK(count_failures.operator()<int>(reply) == (size < 16 + 40 ? 10 : 0));
        CHECK(count_failures.operator()<void>(reply) == (size < 16 ? 10 : 0));
    }
}

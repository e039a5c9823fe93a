// SPDX-License-Identifier: BSL-1.0
// Promises of this_task::seed(): randomness that repeats.
#include "all_executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/callable.hpp>
#include <concur/executor.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <optional>
#include <set>
#include <stdexcept>
#include <vector>

using namespace conformance;

namespace {

std::uint64_t seed_of_item(int) { return concur::this_task::seed(); }
std::uint64_t seed_of_task() { return concur::this_task::seed(); }

std::vector<std::uint64_t> seeds_on_serial(std::optional<std::uint64_t> option) {
    concur::serial_executor ex;
    return ex.map({.seed = option}, seed_of_item, numbers(40)).collect();
}

}  // namespace

TEST_CASE_TEMPLATE("seed 153: an item's seed depends on the option and its index only", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    for (const std::uint64_t option : {std::uint64_t{0}, std::uint64_t{7}, ~std::uint64_t{0}}) {
        const auto expected = seeds_on_serial(option);
        for (const unsigned workers : {1U, 2U, 5U}) {
            auto ex = E::make(workers);
            for (const int chunk : {0, 1, 3, 100}) {
                CAPTURE(workers);
                CAPTURE(chunk);
                const concur::map_options options{.chunk_size = chunk, .seed = option};
                CHECK(ex.map(options, seed_of_item, numbers(40)).collect() == expected);
                const concur::map_options narrow{.chunk_size = chunk, .window = 3, .seed = option};
                CHECK(drain<std::uint64_t>(ex.map(narrow, seed_of_item, numbers(40))).values ==
                      expected);
                for (auto&& [position, seed] : ex.map_unordered(options, seed_of_item, numbers(40)))
                    CHECK(seed == expected[position]);
            }
        }
    }
}

TEST_CASE("seed 153: items differ, and so do options") {
    const auto seven = seeds_on_serial(7);
    const auto eight = seeds_on_serial(8);
    std::set<std::uint64_t> all(seven.begin(), seven.end());
    all.insert(eight.begin(), eight.end());
    CHECK(all.size() == 80);
}

TEST_CASE_TEMPLATE("seed: unset, the option is 0 for every kind of map", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    const auto zero = seeds_on_serial(0);
    CHECK(seeds_on_serial(std::nullopt) == zero);
    CHECK(ex.map(seed_of_item, numbers(40)).collect() == zero);
    std::vector<std::uint64_t> seen(40);
    ex.for_each({.chunk_size = 3}, [](std::uint64_t& to) { to = concur::this_task::seed(); }, seen);
    CHECK(seen == zero);
}

TEST_CASE_TEMPLATE("seed: a submitted task has one when it was given one", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    concur::serial_executor serial;
    const auto five = serial.submit({.seed = 5}, seed_of_task).get();
    const auto six = serial.submit({.seed = 6}, seed_of_task).get();
    CHECK(five != six);
    auto ex = E::make(2);
    for (int i = 0; i != 10; ++i) {
        CHECK(ex.submit({.seed = 5}, seed_of_task).get() == five);
        CHECK(ex.submit({.seed = 6}, seed_of_task).get() == six);
    }
    CHECK(ex.submit({.seed = 5}, [] {
                const auto first = concur::this_task::seed();
                return concur::this_task::seed() == first;
            }).get());
}

TEST_CASE_TEMPLATE("seed: unset for submit, it is std::logic_error that says what to give", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(1);
    auto f = ex.submit(seed_of_task);
    const auto text = text_thrown<std::logic_error>([&] { f.get(); });
    CAPTURE(text);
    CHECK(text.find("seed") != std::string::npos);
    auto named = ex.submit({.name = "named"}, seed_of_task);
    CHECK_THROWS_AS(named.get(), std::logic_error);
}

TEST_CASE_TEMPLATE("seed: does not depend on the task that submitted it", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(1);
    const auto expected = seeds_on_serial(3);
    auto inside = ex.submit(
        {.seed = 99}, [&] { return ex.map({.seed = 3}, seed_of_item, numbers(40)).collect(); });
    CHECK(inside.get() == expected);
    const auto zero = seeds_on_serial(0);
    auto unset =
        ex.submit({.seed = 99}, [&] { return ex.map(seed_of_item, numbers(40)).collect(); });
    CHECK(unset.get() == zero);
    auto child = ex.submit({.seed = 99}, [&] { return ex.submit(seed_of_task).get(); });
    CHECK_THROWS_AS(child.get(), std::logic_error);
    // and the parent's own seed is untouched by its children
    CHECK(ex.submit({.seed = 99}, [&] {
                const auto before = concur::this_task::seed();
                static_cast<void>(ex.map({.seed = 3}, seed_of_item, numbers(5)).collect());
                static_cast<void>(ex.submit({.seed = 4}, seed_of_task).get());
                return concur::this_task::seed() == before;
            }).get());
}

TEST_CASE_TEMPLATE("seed 153: every attempt of concur::retry has the same seed", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(1);
    std::set<std::uint64_t> seen;
    int attempts = 0;
    auto f = ex.submit({.seed = 12}, concur::retry(4, [&] {
                           seen.insert(concur::this_task::seed());
                           if (++attempts < 4) throw custom_error(attempts);
                       }));
    f.get();
    CHECK(attempts == 4);
    CHECK(seen.size() == 1);
}

// SPDX-License-Identifier: BSL-1.0
// Promises of map about its inputs: which ranges it takes, what f gets, and who reads them.
#include "all_executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <deque>
#include <forward_list>
#include <functional>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <ranges>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

using namespace conformance;

namespace {

/// A hand-made single-pass range 0, 1, … that counts and can throw.
struct single_pass {
    int limit = 1'000'000'000;
    int throws_at = -1;         ///< reaching this element throws
    bool on_increment = false;  ///< in ++ rather than in *
    int read = 0;
    std::set<std::thread::id> readers = {};

    struct iterator {
        using value_type = int;
        using difference_type = std::ptrdiff_t;

        single_pass* range;
        int at = 0;

        int operator*() const {
            range->readers.insert(std::this_thread::get_id());
            if (!range->on_increment && at == range->throws_at) throw custom_error(at);
            range->read = std::max(range->read, at + 1);
            return at;
        }
        iterator& operator++() {
            range->readers.insert(std::this_thread::get_id());
            ++at;
            if (range->on_increment && at == range->throws_at) throw custom_error(at);
            return *this;
        }
        void operator++(int) { ++*this; }
        bool operator==(std::default_sentinel_t) const { return at == range->limit; }
    };

    iterator begin() { return {this, 0}; }
    std::default_sentinel_t end() const { return {}; }
};

static_assert(std::input_iterator<single_pass::iterator>);
static_assert(!std::forward_iterator<single_pass::iterator>);

int plus_one(int x) { return x + 1; }

std::vector<int> from_one_to(int n) {
    auto result = numbers(n);
    for (int& x : result) ++x;
    return result;
}

}  // namespace

TEST_CASE_TEMPLATE("map ranges: any standard container will do", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    const auto expected = from_one_to(20);
    const auto data = numbers(20);
    const std::list<int> list(data.begin(), data.end());
    const std::forward_list<int> forward(data.begin(), data.end());
    std::deque<int> deque(data.begin(), data.end());
    const std::set<int> set(data.begin(), data.end());
    int array[] = {0, 1, 2};
    for (const int chunk : {0, 1, 3}) {
        CAPTURE(chunk);
        const concur::map_options options{.chunk_size = chunk};
        CHECK(ex.map(options, plus_one, list).collect() == expected);
        CHECK(ex.map(options, plus_one, forward).collect() == expected);
        CHECK(ex.map(options, plus_one, deque).collect() == expected);
        CHECK(ex.map(options, plus_one, set).collect() == expected);
        CHECK(ex.map(options, plus_one, array).collect() == from_one_to(3));
        CHECK(ex.map(options, plus_one, std::list<int>(list)).collect() == expected);
    }
    const std::map<std::string, int> ages{{"Ada", 36}, {"Max", 7}};
    const auto text = [](const std::pair<const std::string, int>& entry) {
        return entry.first + std::to_string(entry.second);
    };
    CHECK(ex.map(text, ages).collect() == std::vector<std::string>{"Ada36", "Max7"});
}

TEST_CASE_TEMPLATE("map ranges: views and spans are read in place", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    const auto data = numbers(20);
    CHECK(ex.map(plus_one, std::views::iota(0, 20)).collect() == from_one_to(20));
    CHECK(ex.map(plus_one, std::span(data)).collect() == from_one_to(20));
    CHECK(ex.map(plus_one, data | std::views::take(5)).collect() == from_one_to(5));
    auto even = data | std::views::filter([](int x) { return x % 2 == 0; });
    CHECK(ex.map(plus_one, even | std::views::take(3)).collect() == std::vector{1, 3, 5});
    const auto doubled = data | std::views::transform([](int x) { return 2 * x; });
    CHECK(ex.map(plus_one, doubled | std::views::take(3)).collect() == std::vector{1, 3, 5});
}

TEST_CASE_TEMPLATE("map ranges: f gets the very elements of a range that you keep", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(3);
    std::vector<double> data(1000, 1.5);
    ex.for_each([](double& x) { x *= 2; }, data);
    CHECK(data == std::vector<double>(1000, 3.0));
    ex.for_each({.chunk_size = 7}, [](double& x) { x += 1; }, std::span(data).first(500));
    CHECK(data.front() == 4.0);
    CHECK(data.back() == 3.0);

    const std::vector<std::string> texts{"a", "b", "c"};
    const auto addresses = ex.map([](const std::string& s) { return &s; }, texts).collect();
    for (std::size_t i = 0; i != 3; ++i) CHECK(addresses[i] == &texts[i]);
}

TEST_CASE_TEMPLATE("map ranges: elements that cannot be copied are visited in place", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    std::vector<std::unique_ptr<int>> boxes;
    for (int i = 0; i != 10; ++i) boxes.push_back(std::make_unique<int>(i));
    ex.for_each([](std::unique_ptr<int>& p) { *p += 1; }, boxes);
    CHECK(ex.map([](const std::unique_ptr<int>& p) { return *p; }, boxes).collect() ==
          from_one_to(10));
}

TEST_CASE_TEMPLATE("map ranges: an rvalue container is moved in and kept alive", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    tally counts;
    std::vector<probe> probes;
    probes.reserve(20);
    for (int i = 0; i != 20; ++i) probes.emplace_back(counts, i);
    const int moves = counts.moves;
    {
        auto result = ex.map(
            {.chunk_size = 2, .window = 4}, [](const probe& p) { return p.value(); },
            std::move(probes));
        CHECK(counts.alive >= 16);  // the elements that no chunk has reached are in there
        CHECK(drain<int>(result).values == numbers(20));
    }
    CHECK(counts.copies == 0);
    CHECK(counts.moves == moves);  // the vector was moved, its elements stayed
    CHECK(counts.alive == 0);

    const auto lengths = ex.map([](const std::string& s) { return s.size(); },
                                std::vector<std::string>{"one", "three", std::string(1000, 'x')})
                             .collect();
    CHECK(lengths == std::vector<std::size_t>{3, 5, 1000});
}

TEST_CASE_TEMPLATE("map ranges: a container that goes out of scope after collect() is done with", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    std::vector<int> lengths;
    for (int round = 0; round != 50; ++round) {
        const std::vector<std::string> texts(20, std::string(100, 'y'));
        for (const auto n : ex.map([](const std::string& s) { return s.size(); }, texts).collect())
            if (n != 100) lengths.push_back(static_cast<int>(n));
    }
    CHECK(lengths.empty());
}

TEST_CASE_TEMPLATE("map ranges 29: a single-pass range is read by the caller only, by value", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(3);
    for (const int chunk : {0, 1, 4}) {
        CAPTURE(chunk);
        single_pass source{.limit = 100};
        CHECK(drain<int>(ex.map({.chunk_size = chunk}, plus_one, source)).values ==
              from_one_to(100));
        CHECK(source.readers == std::set{std::this_thread::get_id()});
    }
    single_pass other{.limit = 100};
    CHECK(ex.map(plus_one, other).collect() == from_one_to(100));
    CHECK(other.readers == std::set{std::this_thread::get_id()});
}

TEST_CASE_TEMPLATE("map ranges 29: an endless single-pass range is read a window ahead", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    single_pass source;
    int count = 0;
    int furthest = 0;
    for (const int x : ex.map({.window = 6}, plus_one, source)) {
        furthest = std::max(furthest, source.read - count);
        REQUIRE(x == count + 1);
        if (++count == 500) break;
    }
    CHECK(furthest <= 6 + 1);
}

TEST_CASE_TEMPLATE("map ranges 29: a stream is a range like any other", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    std::istringstream words("the quick brown fox jumps over the lazy dog");
    const auto lengths = ex.map([](const std::string& word) { return word.size(); },
                                std::views::istream<std::string>(words))
                             .collect();
    CHECK(lengths == std::vector<std::size_t>{3, 5, 5, 3, 5, 4, 3, 4, 3});
}

TEST_CASE_TEMPLATE("map ranges 28: a range that throws surfaces at its own position", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    for (const bool on_increment : {false, true}) {
        for (const int position : {0, 1, 7, 300}) {
            if (on_increment && position == 0) continue;
            for (const int chunk : {0, 1, 5, 1000}) {
                CAPTURE(on_increment);
                CAPTURE(position);
                CAPTURE(chunk);
                single_pass source{
                    .limit = 500, .throws_at = position, .on_increment = on_increment};
                drained<int> read;
                try {
                    read = drain<int>(ex.map({.chunk_size = chunk}, plus_one, source));
                } catch (const custom_error&) {
                    FAIL_CHECK("map itself threw");
                }
                CHECK(read.values == from_one_to(position));
                CHECK(text_of(read.error) == "custom " + std::to_string(position));
                CHECK(read.at_end);
                CHECK(ex.map(plus_one, numbers(3)).collect() == from_one_to(3));
            }
        }
    }
}

TEST_CASE_TEMPLATE("map ranges 28: a random-access range may throw, too", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    const auto data = numbers(50);
    const auto throwing = data | std::views::transform([](int x) {
                              if (x == 20) throw custom_error(20);
                              return x;
                          });
    for (const int chunk : {0, 1, 8}) {
        CAPTURE(chunk);
        const auto read = drain<int>(ex.map({.chunk_size = chunk}, plus_one, throwing));
        CHECK(read.values == from_one_to(20));
        CHECK(text_of(read.error) == "custom 20");
        CHECK(read.at_end);
    }
}

TEST_CASE_TEMPLATE("map ranges 28: the failure of f before that of the range comes first", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    single_pass source{.limit = 100, .throws_at = 8};
    const auto read = drain<int>(ex.map(
        [](int x) {
            if (x == 5) throw custom_error(5);
            return x;
        },
        source));
    CHECK(read.values == numbers(5));
    CHECK(text_of(read.error) == "custom 5");
}

TEST_CASE_TEMPLATE("map ranges: single-pass and random-access ranges zip", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    single_pass source;
    const std::vector<int> tens{0, 10, 20, 30};
    CHECK(ex.map(std::plus<>(), source, tens).collect() == std::vector{0, 11, 22, 33});
    CHECK(ex.map(std::plus<>(), tens, std::views::iota(5)).collect() == std::vector{5, 16, 27, 38});
}

TEST_CASE_TEMPLATE("map ranges: elements that are proxies arrive as what they stand for", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    const std::vector<bool> bits{true, false, true};
    CHECK(ex.map([](bool b) { return b ? 1 : 0; }, bits).collect() == std::vector{1, 0, 1});
}

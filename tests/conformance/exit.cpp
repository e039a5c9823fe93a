// SPDX-License-Identifier: BSL-1.0
// Promises about the end of the program: executors with static storage, tasks that still run.
#include "child.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/thread_pool.hpp>

#include <doctest/doctest.h>

#include <cstdio>
#include <string>
#include <vector>

using namespace conformance;

namespace {

std::size_t count_of(const std::string& text, const std::string& word) {
    std::size_t count = 0;
    for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++count;
    return count;
}

/// Made when a child first asks for it, and destroyed after its main.
concur::thread_pool& static_pool() {
    static concur::thread_pool pool(2);
    return pool;
}

}  // namespace

TEST_CASE("child: ends with work in a static pool" * doctest::skip()) {
    for (int i = 0; i != 20; ++i)
        static_pool().post([] {
            std::puts("[ran]");
            std::fflush(stdout);
        });
}

TEST_CASE("child: ends with work in a static pool that was shut down" * doctest::skip()) {
    for (int i = 0; i != 20; ++i)
        static_pool().post([] {
            std::puts("[ran]");
            std::fflush(stdout);
        });
    static_pool().shutdown({.wait = false});
}

TEST_CASE("child: keeps a future beyond its pool and main" * doctest::skip()) {
    static std::vector<concur::future<int>> kept;
    kept.push_back(static_pool().submit([] { return 1; }));
    static concur::thread_pool later(1);
    kept.push_back(later.submit([] { return 2; }));
    std::puts("[ran]");
}

TEST_CASE("child: leaves a pool behind" * doctest::skip()) {
    static auto* leaked = new concur::thread_pool(2);
    CHECK(leaked->submit([] { return 1; }).get() == 1);
    std::puts("[ran]");
}

TEST_CASE("exit 67: a pool with static storage finishes its work and does not deadlock") {
    const watchdog guard("a child with a static pool to end");
    const auto child = run_in_child("child: ends with work in a static pool");
    CAPTURE(child.output);
    CHECK(child.ended_well());
    CHECK(count_of(child.output, "[ran]") == 20);
}

TEST_CASE("exit 65: after shutdown without waiting, tasks still end before the program does") {
    const watchdog guard("a child with a static pool to end");
    const auto child = run_in_child("child: ends with work in a static pool that was shut down");
    CAPTURE(child.output);
    CHECK(child.ended_well());
    CHECK(count_of(child.output, "[ran]") == 20);
}

TEST_CASE("exit 67: static futures may die after their static pool") {
    const watchdog guard("a child with static futures to end");
    const auto child = run_in_child("child: keeps a future beyond its pool and main");
    CAPTURE(child.output);
    CHECK(child.ended_well());
}

TEST_CASE("exit 67: a pool that is never destroyed does not keep the program from ending") {
    const watchdog guard("a child with a leaked pool to end");
    const auto child = run_in_child("child: leaves a pool behind");
    CAPTURE(child.output);
    CHECK(child.ended_well());
    CHECK(count_of(child.output, "[ran]") == 1);
}

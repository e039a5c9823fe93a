// SPDX-License-Identifier: BSL-1.0
// A stream of small tasks costs next to no system calls: what decides how fast a pool is.
#include "../conformance/watchdog.hpp"
#include "load.hpp"

#include <concur/thread_pool.hpp>

#include <doctest/doctest.h>

#include <vector>

using conformance::watchdog;

namespace {

constexpr std::size_t tasks = 1'000'000;
constexpr double most_per_task = 0.05;

template <class F>
double futex_calls_per_task(F&& f) {
    const auto before = concur::detail::futex_calls();
    f();
    return static_cast<double>(concur::detail::futex_calls() - before) / tasks;
}

}  // namespace

TEST_CASE("futex: the count counts") {
    concur::detail::parker p;
    const auto before = concur::detail::futex_calls();
    p.park(concur::detail::steady_clock::now() + std::chrono::milliseconds(1));
    CHECK(concur::detail::futex_calls() > before);
}

// Slowed-down threads sleep more often: the bar is for the plain build.
TEST_CASE("futex: a million empty tasks, submit then get all" *
          doctest::skip(unit::sanitized || unit::chaotic)) {
    const watchdog guard;
    concur::thread_pool pool(2);
    std::vector<concur::future<void>> futures;
    futures.reserve(tasks);
    const double calls = futex_calls_per_task([&] {
        for (std::size_t i = 0; i != tasks; ++i) futures.push_back(pool.submit([] {}));
        for (auto& f : futures) f.get();
    });
    MESSAGE("futex calls per task: " << calls);
    CHECK(calls <= most_per_task);
}

TEST_CASE("futex: a million empty tasks, post and wait_idle" *
          doctest::skip(unit::sanitized || unit::chaotic)) {
    const watchdog guard;
    concur::thread_pool pool(2);
    const double calls = futex_calls_per_task([&] {
        for (std::size_t i = 0; i != tasks; ++i) pool.post([] {});
        pool.wait_idle();
    });
    MESSAGE("futex calls per task: " << calls);
    CHECK(calls <= most_per_task);
    CHECK(pool.stats().completed == tasks);
}

// SPDX-License-Identifier: BSL-1.0
// What a queued task costs: at most 80 bytes with its future, at most 64 without.
#include "../conformance/tools.hpp"
#include "../conformance/watchdog.hpp"
#include "load.hpp"

#include <concur/thread_pool.hpp>

#include <doctest/doctest.h>

#include <unistd.h>
#include <cstdio>
#include <vector>

using namespace concur::detail;
using conformance::watchdog;

namespace {

template <class R, std::size_t Captured>
struct call_of {
    static constexpr std::size_t tasks = 1;
    R operator()() && {
        if constexpr (!std::is_void_v<R>) return R{};
    }
    unsigned char captured[Captured];
};

template <class Call, class R>
constexpr std::size_t block_of = block_size(block_kind(job<Call, R, false>::bytes));

// The state alone leaves this much of a cache line for what a task captures.
constexpr std::size_t room = cache_line - sizeof(state);

}  // namespace

static_assert(room >= 24, "three pointers fit");
static_assert(block_of<call_of<void, room>, void> == 64);
static_assert(block_of<call_of<void, room + 1>, void> == 128);
static_assert(block_of<call_of<double, room>, double> == 64);
static_assert(block_of<call_of<void, room>, void> + sizeof(concur::future<void>) <= 80);
static_assert(block_of<call_of<double, room>, double> + sizeof(concur::future<double>) <= 80);

namespace {

std::size_t resident_bytes() {
    std::size_t total = 0, resident = 0;
    if (std::FILE* const file = std::fopen("/proc/self/statm", "re")) {
        if (std::fscanf(file, "%zu %zu", &total, &resident) != 2) resident = 0;
        std::fclose(file);
    }
    return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

constexpr std::size_t tasks = 1'000'000;
// Pages, the slabs' headers and the threads' stacks: 0.5 bytes a task.
constexpr double noise = 0.5;

}  // namespace

TEST_CASE("memory: a million queued posts" * doctest::skip(unit::sanitized || unit::chaotic)) {
    const watchdog guard;
    concur::thread_pool pool(2);
    conformance::blocker busy(pool);
    std::size_t sum = 0;
    const auto before = resident_bytes();
    for (std::size_t i = 0; i != tasks; ++i)
        pool.post([&sum, i] {
            if (i == 0) ++sum;
        });
    const auto grown = static_cast<double>(resident_bytes() - before) / tasks;
    MESSAGE("bytes per queued post: " << grown);
    busy.release();
    pool.wait_idle();
    CHECK(sum == 1);
    CHECK(grown <= 64 + noise);
    CHECK(grown >= 32);  // or nothing was measured
    concur::trim_memory();
}

TEST_CASE("memory: a million queued tasks with futures" *
          doctest::skip(unit::sanitized || unit::chaotic)) {
    const watchdog guard;
    concur::trim_memory();
    concur::thread_pool pool(2);
    conformance::blocker busy(pool);
    std::vector<concur::future<std::size_t>> futures;
    const auto before = resident_bytes();
    futures.reserve(tasks);
    for (std::size_t i = 0; i != tasks; ++i) futures.push_back(pool.submit([i] { return i; }));
    const auto grown = static_cast<double>(resident_bytes() - before) / tasks;
    MESSAGE("bytes per queued task and future: " << grown);
    busy.release();
    std::size_t wrong = 0;
    for (std::size_t i = 0; i != tasks; ++i) wrong += futures[i].get() != i;
    CHECK(wrong == 0);
    CHECK(grown <= 80);
    CHECK(grown >= 32);
}

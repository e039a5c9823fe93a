// SPDX-License-Identifier: BSL-1.0
// Promises of usable_cpus() and CONCUR_WORKERS.
#include "child.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/executor.hpp>
#include <concur/thread_pool.hpp>

#include <doctest/doctest.h>

#include <sched.h>

#include <cstdio>
#include <string>

using namespace conformance;

namespace {

constexpr const char* report = "child: reports the usable CPUs";

/// What a child with CONCUR_WORKERS set to `text` says.
child_result with_workers(const char* text) {
    return run_in_child(report, {{"CONCUR_WORKERS", text}});
}

bool says(const child_result& child, const std::string& text) {
    return child.output.find(text) != std::string::npos;
}

std::string counted(unsigned n) { return "[usable " + std::to_string(n) + "]"; }

std::size_t lines_with(const std::string& text, const std::string& word) {
    std::size_t count = 0;
    for (std::size_t at = 0; at < text.size();) {
        auto end = text.find('\n', at);
        if (end == std::string::npos) end = text.size();
        count += text.substr(at, end - at).find(word) != std::string::npos;
        at = end + 1;
    }
    return count;
}

}  // namespace

TEST_CASE("child: reports the usable CPUs" * doctest::skip()) {
    std::printf("[usable %zu]\n", std::size_t{concur::usable_cpus()});
    std::printf("[usable again %zu]\n", std::size_t{concur::usable_cpus()});
    const concur::thread_pool pool;
    std::printf("[pool %zu]\n", pool.worker_count());
}

TEST_CASE("child: reports the usable CPUs of one" * doctest::skip()) {
    cpu_set_t one;
    cpu_set_t mine;
    CPU_ZERO(&mine);
    REQUIRE(sched_getaffinity(0, sizeof mine, &mine) == 0);
    int first = 0;
    while (!CPU_ISSET(static_cast<std::size_t>(first), &mine)) ++first;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(first), &one);
    REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
    std::printf("[usable %zu]\n", std::size_t{concur::usable_cpus()});
}

TEST_CASE("usable_cpus 151: CONCUR_WORKERS says how many, and pools obey") {
    const watchdog guard;
    for (const unsigned n : {1U, 3U, 17U}) {
        const auto child = with_workers(std::to_string(n).c_str());
        CAPTURE(child.output);
        CHECK(child.ended_well());
        CHECK(says(child, counted(n)));
        CHECK(says(child, "[pool " + std::to_string(n) + "]"));
        CHECK(lines_with(child.output, "CONCUR_WORKERS") == 0);
    }
}

TEST_CASE("usable_cpus 151: a malformed CONCUR_WORKERS is ignored, with one line on stderr") {
    const watchdog guard;
    const auto normal = with_workers(nullptr);
    CAPTURE(normal.output);
    REQUIRE(normal.ended_well());
    CHECK(lines_with(normal.output, "CONCUR_WORKERS") == 0);
    const auto begin = normal.output.find("[usable ");
    REQUIRE(begin != std::string::npos);
    const auto expected = normal.output.substr(begin, normal.output.find(']', begin) + 1 - begin);
    for (const char* text : {"0", "-2", "four", "3x", "1.5", "99999999999999999999999"}) {
        CAPTURE(text);
        const auto child = with_workers(text);
        CAPTURE(child.output);
        CHECK(child.ended_well());
        CHECK(says(child, expected));
        CHECK(lines_with(child.output, "CONCUR_WORKERS") == 1);
    }
}

TEST_CASE("usable_cpus 151: is at least 1, and not more than the affinity mask allows") {
    const watchdog guard;
    CHECK(concur::usable_cpus() >= 1);
    cpu_set_t mine;
    CPU_ZERO(&mine);
    REQUIRE(sched_getaffinity(0, sizeof mine, &mine) == 0);
    if (std::getenv("CONCUR_WORKERS") == nullptr)
        CHECK(concur::usable_cpus() <= static_cast<std::size_t>(CPU_COUNT(&mine)));
    const auto child =
        run_in_child("child: reports the usable CPUs of one", {{"CONCUR_WORKERS", nullptr}});
    CAPTURE(child.output);
    CHECK(child.ended_well());
    CHECK(says(child, counted(1)));
}

// SPDX-License-Identifier: BSL-1.0
// A system that gives too little: threads that cannot be started.
#include "../sanitizers.hpp"
#include "child.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/thread_pool.hpp>

#include <doctest/doctest.h>

#include <sys/resource.h>

#include <string>

using namespace conformance;

namespace {

constexpr const char* crowded = "child: more threads than there is room for";

}  // namespace

TEST_CASE(
    "limits 21: a pool whose threads cannot all be started throws, and leaves nothing behind") {
    if (tests::sanitized) return;  // they reserve terabytes
    const watchdog guard("limits 21");
    const auto child = run_in_child(crowded);
    CHECK_MESSAGE(child.ended_well(), child.output);
}

// Runs as a child only: the limit cannot be lifted again.
TEST_CASE("child: more threads than there is room for" * doctest::skip()) {
    // Each thread reserves 8 MiB for its stack; some fit, a thousand do not.
    const rlimit room{600ul << 20, 600ul << 20};
    REQUIRE(setrlimit(RLIMIT_AS, &room) == 0);
    const auto before = live_threads();
    for (int again = 0; again != 3; ++again) {
        try {
            concur::thread_pool pool(1000);
            FAIL("a thousand threads in 600 MiB");
        } catch (const concur::broken_executor& problem) {
            const std::string text = problem.what();
            CHECK(text.find("of 1000 threads could be started") != std::string::npos);
            CHECK(text.find("fewer workers") != std::string::npos);
        }
        eventually([&] { return none_but(before); });
    }
    concur::thread_pool small(2);
    CHECK(small.submit([] { return 7; }).get() == 7);
}

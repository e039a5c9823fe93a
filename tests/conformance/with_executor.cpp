// SPDX-License-Identifier: BSL-1.0
// Promises of with_executor: an executor picked by name at run time.
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/serial_executor.hpp>
#include <concur/thread_pool.hpp>
#include <concur/with_executor.hpp>

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

using namespace conformance;
using concur::serial_executor;
using concur::thread_pool;

TEST_CASE("with_executor: the name picks the type, and the result comes back") {
    const watchdog guard;
    const auto kind = [](auto& ex) {
        static_assert(concur::executor<std::remove_reference_t<decltype(ex)>>);
        const bool threads = std::is_same_v<std::remove_reference_t<decltype(ex)>, thread_pool>;
        const int value = ex.submit([] { return 5; }).get();
        return std::string(threads ? "threads " : "serial ") + std::to_string(value);
    };
    CHECK(concur::with_executor<serial_executor, thread_pool>("serial", {}, kind) == "serial 5");
    CHECK(concur::with_executor<serial_executor, thread_pool>("threads", {}, kind) == "threads 5");
}

TEST_CASE("with_executor: options reach the executor") {
    const watchdog guard;
    const auto workers = [](auto& ex) { return ex.worker_count(); };
    CHECK(concur::with_executor<serial_executor, thread_pool>("threads", {.workers = 3}, workers) ==
          3);
    const concur::executor_options options{.workers = 4};
    CHECK(concur::with_executor<thread_pool>("threads", options, workers) == 4);
    CHECK(concur::with_executor<serial_executor, thread_pool>("serial", {.workers = 3}, workers) ==
          1);
}

TEST_CASE("with_executor: an unknown name throws, and says which there are") {
    const watchdog guard;
    bool called = false;
    const auto text = text_thrown<std::invalid_argument>([&] {
        concur::with_executor<serial_executor, thread_pool>("fibres", {},
                                                            [&](auto&) { called = true; });
    });
    CAPTURE(text);
    CHECK(text.find("fibres") != std::string::npos);
    CHECK(text.find("serial") != std::string::npos);
    CHECK(text.find("threads") != std::string::npos);
    CHECK_FALSE(called);
    const auto narrow = text_thrown<std::invalid_argument>(
        [&] { concur::with_executor<thread_pool>("serial", {}, [&](auto&) { called = true; }); });
    CHECK(narrow.find("threads") != std::string::npos);
    CHECK_FALSE(called);
}

TEST_CASE("with_executor: what the callable throws passes through, after its work has ended") {
    const watchdog guard;
    std::atomic<int> ran = 0;
    CHECK_THROWS_AS(
        (concur::with_executor<serial_executor, thread_pool>("threads", {.workers = 2},
                                                             [&](auto& ex) {
                                                                 for (int i = 0; i != 50; ++i)
                                                                     ex.post([&] { ++ran; });
                                                                 throw custom_error(1);
                                                             })),
        custom_error);
    CHECK(ran == 50);
}

TEST_CASE("with_executor: a callable may return nothing, or something move-only") {
    const watchdog guard;
    int calls = 0;
    concur::with_executor<serial_executor, thread_pool>("serial", {}, [&](auto&) { ++calls; });
    CHECK(calls == 1);
    const auto box = concur::with_executor<serial_executor, thread_pool>(
        "threads", {.workers = 1},
        [](auto& ex) { return ex.submit([] { return std::make_unique<int>(6); }).get(); });
    CHECK(*box == 6);
}

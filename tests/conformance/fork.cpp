// SPDX-License-Identifier: BSL-1.0
// Promises after a fork() of the user's own: in the child, executors and futures are inert.
#include "../sanitizers.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/error.hpp>
#include <concur/thread_pool.hpp>

#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <vector>

using namespace conformance;

namespace {

/// Runs `check` in a forked child; 0 when it returned true.
template <class F>
int status_of_child(F check) {
    const pid_t pid = fork();
    if (pid == 0) {
        alarm(20);  // a child that hangs is killed: its status is not 0 then
        int code = 2;
        try {
            code = check() ? 0 : 1;
        } catch (...) {
        }
        _exit(code);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    return status;
}

template <class F>
bool throws_broken(F f) {
    try {
        f();
    } catch (const concur::broken_executor&) {
        return true;
    } catch (...) {
    }
    return false;
}

}  // namespace

TEST_CASE("fork 86: in the child, the calls of a pool throw broken_executor") {
    const watchdog guard;
    concur::thread_pool pool(2);
    CHECK(pool.submit([] { return 1; }).get() == 1);
    CHECK(status_of_child(
              [&] { return throws_broken([&] { static_cast<void>(pool.submit([] {})); }); }) == 0);
    CHECK(status_of_child([&] { return throws_broken([&] { pool.post([] {}); }); }) == 0);
    CHECK(status_of_child(
              [&] { return throws_broken([&] { pool.for_each([](int) {}, numbers(3)); }); }) == 0);
    CHECK(status_of_child([&] {
              return throws_broken([&] {
                  static_cast<void>(pool.map([](int x) { return x; }, numbers(3)).collect());
              });
          }) == 0);
    CHECK(pool.submit([] { return 2; }).get() == 2);  // the parent is unaffected
}

TEST_CASE("fork 86: in the child, destroying a pool does nothing") {
    const watchdog guard;
    auto pool = std::make_unique<concur::thread_pool>(2);
    gate door;
    const opens_at_exit at_exit(door);
    auto busy = pool->submit([&] { return door.wait(), 3; });
    auto queued = pool->submit([&] { return door.wait(), 4; });
    auto waiting = pool->submit([] { return 5; });
    CHECK(status_of_child([&] {
              pool.reset();  // would join threads that are not there
              return true;
          }) == 0);
    CHECK_FALSE(busy.done());
    door.open();
    CHECK(busy.get() == 3);
    CHECK(queued.get() == 4);
    CHECK(waiting.get() == 5);
    pool->shutdown();
}

TEST_CASE("fork 86: in the child, an unfinished future throws instead of waiting for ever") {
    const watchdog guard;
    concur::thread_pool pool(1);
    gate door;
    const opens_at_exit at_exit(door);
    std::optional<concur::future<int>> busy = pool.submit([&] { return door.wait(), 3; });
    CHECK(status_of_child([&] { return throws_broken([&] { busy->get(); }); }) == 0);
    CHECK(status_of_child([&] { return throws_broken([&] { busy->wait(); }); }) == 0);
    CHECK(status_of_child([&] {
              busy.reset();
              return true;
          }) == 0);
    door.open();
    CHECK(busy->get() == 3);
}

TEST_CASE("fork 86: a child may have executors of its own") {
    const watchdog guard;
    if (tests::under_tsan) {
        MESSAGE("skipped: ThreadSanitizer does not follow threads started after a fork");
        return;
    }
    concur::thread_pool pool(2);
    CHECK(pool.submit([] { return 1; }).get() == 1);
    CHECK(status_of_child([] {
              concur::thread_pool own(2);
              auto f = own.submit([] { return 6; });
              return f.get() == 6 &&
                     own.map([](int x) { return x; }, numbers(9)).collect().size() == 9;
          }) == 0);
}

TEST_CASE("fork 86: a fork while a pool is under load leaves both sides well") {
    const watchdog guard("children forked under load");
    concur::thread_pool pool(2);
    std::atomic<int> ran = 0;
    for (int round = 0; round != 20; ++round) {
        for (int i = 0; i != 200; ++i) pool.post([&] { ++ran; });
        REQUIRE(status_of_child([&] {
                    return throws_broken([&] { static_cast<void>(pool.submit([] {})); });
                }) == 0);
    }
    pool.wait_idle();
    CHECK(ran == 4000);
}

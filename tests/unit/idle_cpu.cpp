// SPDX-License-Identifier: BSL-1.0
// A pool that has nothing to do uses no CPU, also after it had something to do.
#include <concur/thread_pool.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <ctime>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

std::chrono::nanoseconds cpu_time() {
    std::timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

/// CPU time of this process while this thread sleeps. That it sleeps is the measurement, no wait.
std::chrono::nanoseconds used_while_idle() {
    std::this_thread::sleep_for(100ms);  // searchers give up, the threads come to rest
    const auto before = cpu_time();
    std::this_thread::sleep_for(300ms);
    return cpu_time() - before;
}

}  // namespace

TEST_CASE("idle: the measurement sees a thread that polls") {
    std::jthread polls([](std::stop_token stop) {
        while (!stop.stop_requested()) {
        }
    });
    CHECK(used_while_idle() > 20ms);
}

TEST_CASE("idle: a new pool, and one that has worked, use no CPU") {
    concur::thread_pool pool(4);
    CHECK(used_while_idle() < 5ms);
    std::vector<concur::future<void>> futures;
    for (int i = 0; i != 1000; ++i) futures.push_back(pool.submit([] {}));
    for (auto& f : futures) f.get();
    CHECK(used_while_idle() < 5ms);
}

TEST_CASE("idle: a pool whose tasks sleep in waits uses no CPU") {
    concur::promise<void> p;
    auto open = p.get_future().share();
    {
        concur::thread_pool pool(3);
        std::vector<concur::future<void>> waits;
        for (int i = 0; i != 2; ++i) waits.push_back(pool.submit([open] { open.wait(); }));
        CHECK(used_while_idle() < 5ms);
        p.set_value();
        for (auto& w : waits) w.get();
    }
}

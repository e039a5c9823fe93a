// SPDX-License-Identifier: BSL-1.0
// New here: submit() starts a task and gives a future; get() waits for the result. Four tasks that
// wait 0.2 s each take 0.2 s together, because four workers wait at the same time.
// Read 02_map_and_order.cpp next.

#include <concur/thread_pool.hpp>

#include <chrono>
#include <cstdio>
#include <thread>
#include <utility>
#include <vector>

using seconds = std::chrono::duration<double>;
using watch = std::chrono::steady_clock;

// Waits, then returns a value: like a question to a server.
double delayed_return(double delay) {
    std::this_thread::sleep_for(seconds(delay));
    return delay;
}

// A callable that gives (result, how long it took).
auto timed(auto f) {
    return [f](auto... arguments) -> std::pair<decltype(f(arguments...)), double> {
        auto const start = watch::now();
        auto result = f(arguments...);
        return {result, seconds(watch::now() - start).count()};
    };
}

int main() {
    concur::thread_pool pool(4);

    auto const start = watch::now();
    std::vector<concur::future<std::pair<double, double>>> futures;
    for (int i = 0; i < 4; ++i) futures.push_back(pool.submit(timed(delayed_return), 0.2));

    double sum = 0;
    for (auto& future : futures) {
        auto const [delay, elapsed] = future.get();
        std::printf("asked for %.1f s, took %.2f s\n", delay, elapsed);
        sum += elapsed;
    }
    double const wall = seconds(watch::now() - start).count();
    std::printf("sum %.2f s, on the wall %.2f s: %.1f times as fast\n", sum, wall, sum / wall);
}

// Output:
// asked for 0.2 s, took ~ s
// asked for 0.2 s, took ~ s
// asked for 0.2 s, took ~ s
// asked for 0.2 s, took ~ s
// sum ~ s, on the wall ~ s: ~ times as fast

// SPDX-License-Identifier: BSL-1.0
// New here: as_completed() gives futures in the order in which they are done, so that the first
// answer can be used while others are still on their way. Its elements may carry a key: here, a map
// from names to futures. Read 04_task_graph.cpp next.

#include <concur/as_completed.hpp>
#include <concur/thread_pool.hpp>

#include <chrono>
#include <cstdio>
#include <map>
#include <string>
#include <thread>

// Waits, then returns a value: like a question to a server.
double delayed_return(double delay) {
    std::this_thread::sleep_for(std::chrono::duration<double>(delay));
    return delay;
}

int main() {
    concur::thread_pool pool(3);

    std::map<std::string, concur::future<double>> answers;
    answers["Amsterdam"] = pool.submit(delayed_return, 0.9);
    answers["Berlin"] = pool.submit(delayed_return, 0.1);
    answers["Cairo"] = pool.submit(delayed_return, 0.5);

    for (auto& [city, answer] : concur::as_completed(answers)) {
        std::printf("%s answered after %.1f s\n", city.c_str(), answer.get());
    }

    // The same without futures of your own: (position, result) as they complete.
    double const delays[] = {0.9, 0.1, 0.5};
    for (auto [position, delay] : pool.map_unordered({.chunk_size = 1}, delayed_return, delays)) {
        std::printf("number %zu answered after %.1f s\n", position, delay);
    }
}

// Output:
// Berlin answered after 0.1 s
// Cairo answered after 0.5 s
// Amsterdam answered after 0.9 s
// number 1 answered after 0.1 s
// number 2 answered after 0.5 s
// number 0 answered after 0.9 s

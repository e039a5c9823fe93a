// SPDX-License-Identifier: BSL-1.0
// New here: a time limit that ends a task, wherever it is. A thread can only be asked to stop; a
// worker process is killed and replaced. Read 14_library_that_is_not_thread_safe.cpp next.

#include <concur/process_pool.hpp>

#include <chrono>
#include <cstdio>
#include <vector>

using namespace std::chrono_literals;

// Finds most things, and looks for ever for the others.
int search(int what) {
    for (bool volatile found = what != 13; !found;) continue;
    return what * 10;
}

int main() {
    concur::process_pool pool(2);

    auto endless = pool.submit({.name = "search", .timeout = 200ms}, search, 13);
    try {
        endless.get();
    } catch (concur::timeout_error const& problem) {
        std::printf("%s\n", problem.what());
    }

    // Of a map, the limit is for each item; the others do not notice.
    std::vector<int> const things{11, 12, 13, 14, 15};
    for (auto const& found : pool.map({.timeout = 200ms}, search, things).outcomes()) {
        std::printf("%d ", found.value_or(-1));
    }
    std::printf("\n");

    // No limit was set, and the pool would wait for ever: end everything now.
    auto running = pool.submit(search, 13);
    while (!running.running()) continue;
    pool.kill_workers();
    std::printf("killed: %s\n", running.get_outcome() ? "no" : "yes");
}

// Output:
// the task 'search' ran into its time limit of 0.2 s; its worker process was ended
// 110 120 -1 140 150
// killed: yes

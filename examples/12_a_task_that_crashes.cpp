// SPDX-License-Identifier: BSL-1.0
// New here: process_pool. Each task runs in a worker process, so one that crashes costs itself and
// nothing else; another worker takes over. Read 13_a_task_that_never_ends.cpp next.

#include <concur/process_pool.hpp>

#include <cstdio>
#include <cstdlib>
#include <vector>

// Stands for code with a bug: on the third image it follows a pointer that leads nowhere.
int render(int image) {
    int const* volatile pixels = image == 3 ? nullptr : &image;
    return *pixels * 100;
}

// The first time, something goes wrong.
int flaky() {
    if (concur::this_task::attempt() == 1) std::abort();
    return concur::this_task::attempt();
}

int main() {
    concur::process_pool pool(2);  // two worker processes

    std::vector<concur::future<int>> images;
    for (int image = 1; image <= 5; ++image) images.push_back(pool.submit(render, image));
    for (auto& image : images) {
        try {
            std::printf("%d\n", image.get());
        } catch (concur::worker_lost const& lost) {
            // Also pid() and exit_code(), and all of it in words by what().
            std::printf("its worker was lost: signal %d\n", lost.signal());
        }
    }

    // In a map, the item that crashes is lost, and no other.
    std::vector<int> const numbers{1, 2, 3, 4, 5};
    for (auto const& image : pool.map(render, numbers).outcomes()) {
        std::printf("%s ", image ? "image" : "hole");
    }
    std::printf("\n");

    // A task that may be run again, if its worker is lost, says how often.
    std::printf("went well in attempt %d\n", pool.submit({.retries = 2}, flaky).get());
    std::printf("workers lost and replaced: %d\n", static_cast<int>(pool.stats().workers_lost));
}

// Output:
// 100
// 200
// its worker was lost: signal ~
// 400
// 500
// image image hole image image
// went well in attempt 2
// workers lost and replaced: 3

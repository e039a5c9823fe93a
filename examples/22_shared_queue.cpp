// SPDX-License-Identifier: BSL-1.0
// New here: a queue between processes. Two tasks measure, a third adds up what they push, each in a
// worker process of its own; any of them may crash at any point, and the queue stays whole.

#include <concur/process_pool.hpp>
#include <concur/shared_queue.hpp>

#include <cstdio>
#include <thread>

struct reading {
    int sensor;
    double value;
};

void measure(concur::shared_queue<reading> queue, int sensor, int count) {
    for (int i = 1; i <= count; ++i) {
        while (!queue.try_push({sensor, 0.5 * i})) std::this_thread::yield();
    }
}

double add_up(concur::shared_queue<reading> queue, int count) {
    double sum = 0;
    while (count > 0) {
        if (auto const next = queue.try_pop()) {
            sum += next->value;
            --count;
        } else {
            std::this_thread::yield();
        }
    }
    return sum;
}

int main() {
    concur::process_pool pool(3);
    concur::shared_queue<reading> queue(64);

    auto sum = pool.submit(add_up, queue, 20'000);
    pool.post(measure, queue, 1, 10'000);
    pool.post(measure, queue, 2, 10'000);
    std::printf("sum of all readings: %.1f\n", sum.get());
    std::printf("left in the queue: %zu of %zu\n", queue.size(), queue.capacity());
}

// Output:
// sum of all readings: 50005000.0
// left in the queue: 0 of 64

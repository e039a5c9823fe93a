// SPDX-License-Identifier: BSL-1.0
// The primes up to 1,000 with some delay for each number, on one thread, in three ways: one after
// the other, by hand with workers on a shared queue, and with a task group.
// Each says how much every worker did.
//
//     concur_15_async_primes [delay in microseconds]     default 200; 50000 is the classic 0.05 s

#include <concur/event_loop.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

using concur::task;
using concur::task_group;
using duration = std::chrono::microseconds;

bool is_prime(int n) {
    if (n == 2 || n == 3) return true;
    if (n <= 1 || n % 2 == 0) return false;
    for (int divisor = 3; divisor * divisor <= n; divisor += 2) {
        if (n % divisor == 0) return false;
    }
    return true;
}

struct tally {
    int looked_at = 0;
    int primes = 0;
};

task<void> look_at(int n, duration delay, tally& worker) {
    co_await concur::sleep_for(delay);
    ++worker.looked_at;
    if (is_prime(n)) ++worker.primes;
}

task<void> on_the_queue(concur::async_queue<int>& numbers, duration delay, tally& worker) {
    try {
        for (;;) {
            int const n = co_await numbers.pop();
            co_await look_at(n, delay, worker);
        }
    } catch (concur::queue_closed const&) {
    }
}

void report(char const* way, std::vector<tally> const& workers,
            std::chrono::steady_clock::time_point start) {
    std::chrono::duration<double> const took = std::chrono::steady_clock::now() - start;
    int primes = 0;
    int looked_at = 0;
    for (auto const& w : workers) {
        primes += w.primes;
        looked_at += w.looked_at;
    }
    std::printf("%s, %zu workers: %d numbers, %d primes\n", way, workers.size(), looked_at, primes);
    std::fprintf(stderr, "  took %.3f s; the first worker looked at %d\n", took.count(),
                 workers.front().looked_at);
}

task<void> one_after_the_other(duration delay) {
    auto const start = std::chrono::steady_clock::now();
    std::vector<tally> workers(1);
    for (int n = 1; n <= 1000; ++n) co_await look_at(n, delay, workers[0]);
    report("synchronous", workers, start);
}

task<void> by_hand(duration delay, std::size_t count) {
    auto const start = std::chrono::steady_clock::now();
    std::vector<tally> workers(count);
    concur::async_queue<int> numbers;
    std::vector<task<void>> tasks;
    for (auto& w : workers) tasks.push_back(on_the_queue(numbers, delay, w));
    for (int n = 1; n <= 1000; ++n) numbers.try_push(n);
    numbers.close();
    co_await concur::when_all(std::move(tasks));
    report("by hand", workers, start);
}

task<void> in_a_group(duration delay, std::size_t count) {
    auto const start = std::chrono::steady_clock::now();
    std::vector<tally> workers(count);
    concur::async_queue<int> numbers(10);
    auto const body = [&](task_group& group) -> task<void> {
        for (auto& w : workers) group.start(on_the_queue, std::ref(numbers), delay, std::ref(w));
        for (int n = 1; n <= 1000; ++n) co_await numbers.push(n);
        numbers.close();
    };
    co_await concur::with_task_group(body);
    report("task group", workers, start);
}

task<void> program(duration delay) {
    co_await one_after_the_other(delay);
    co_await by_hand(delay, 3);
    co_await in_a_group(delay, 3);
    co_await in_a_group(delay, 100);
}

int main(int argc, char** argv) {
    concur::run(program, duration(argc > 1 ? std::atoi(argv[1]) : 200));
}

// Output:
// synchronous, 1 workers: 1000 numbers, 168 primes
// by hand, 3 workers: 1000 numbers, 168 primes
// task group, 3 workers: 1000 numbers, 168 primes
// task group, 100 workers: 1000 numbers, 168 primes

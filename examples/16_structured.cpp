// SPDX-License-Identifier: BSL-1.0
// Structured concurrency: a scope ends when everything that was started in it has ended. Errors
// cancel the rest, time limits wait for the end, queues connect coroutines.

#include <concur/event_loop.hpp>

#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <variant>

using namespace std::chrono_literals;
using concur::task;
using concur::task_group;

task<std::string> mirror(std::string name, std::chrono::milliseconds delay) {
    co_await concur::sleep_for(delay);
    co_return name;
}

task<void> worker(int number, concur::async_queue<int>& jobs, int& sum) {
    try {
        for (;;) {
            int const job = co_await jobs.pop();
            co_await concur::sleep_for(1ms);
            sum += job;
        }
    } catch (concur::queue_closed const&) {
        std::printf("worker %d: no more jobs\n", number);
    }
}

task<void> fails_soon() {
    co_await concur::sleep_for(5ms);
    throw std::runtime_error("the disk is full");
}

task<void> cleans_up(std::string& log) {
    try {
        co_await concur::sleep_for(1h);
    } catch (concur::task_cancelled const&) {
        log = "cleaned up";
        throw;
    }
}

task<void> queue_and_group() {
    concur::async_queue<int> jobs(4);  // push waits while it holds four
    int sum = 0;
    auto const body = [&](task_group& group) -> task<void> {
        for (int i = 0; i < 2; ++i) group.start(worker, i, std::ref(jobs), std::ref(sum));
        for (int job = 1; job <= 10; ++job) co_await jobs.push(job);
        jobs.close();  // what is in it can still be popped
    };
    co_await concur::with_task_group(body);
    std::printf("sum of the jobs: %d\n", sum);
}

task<void> program() {
    auto first = co_await concur::when_any(mirror("near", 5ms), mirror("far", 1h));
    std::printf("first: %s\n", std::get<0>(first).c_str());

    try {
        co_await concur::with_timeout(10ms, mirror("far", 1h));
    } catch (concur::timeout_error const&) {
        std::printf("too late\n");
    }

    std::string log;
    try {
        co_await concur::when_all(cleans_up(log), fails_soon());
    } catch (std::runtime_error const& problem) {
        std::printf("%s; the other one has %s\n", problem.what(), log.c_str());
    }

    co_await queue_and_group();
}

int main() { concur::run(program); }

// Output:
// first: near
// too late
// the disk is full; the other one has cleaned up
// worker 0: no more jobs
// worker 1: no more jobs
// sum of the jobs: 55

// SPDX-License-Identifier: BSL-1.0
// A thousand requests at once on one thread: coroutines behind the same interface as the pools. And
// the bridge: what costs CPU time goes to a thread_pool, and the coroutine awaits its future.

#include <concur/event_loop.hpp>
#include <concur/thread_pool.hpp>

#include <chrono>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using concur::task;

// Something slow that is only waiting: a request to a server, say.
task<int> request(int id) {
    co_await concur::sleep_for(100ms);
    co_return id % 10;
}

int digit_sum(int n) { return n < 10 ? n : n % 10 + digit_sum(n / 10); }

task<int> request_and_compute(concur::thread_pool& pool, int id) {
    int const answer = co_await request(id);
    co_return co_await pool.submit(digit_sum, answer * 1234);  // the loop goes on meanwhile
}

// The front door of a program that is a coroutine.
task<int> program(int first, int second) {
    auto [a, b] = co_await concur::when_all(request(first), request(second));
    co_return a + b;
}

int main() {
    concur::event_loop loop;
    auto const start = std::chrono::steady_clock::now();

    std::vector<int> ids(1000);
    std::iota(ids.begin(), ids.end(), 0);
    auto const answers = loop.map(request, ids).collect();
    auto const took = std::chrono::steady_clock::now() - start;
    std::printf("%zu requests of 0.1 s each, the sum of the answers is %d\n", answers.size(),
                std::accumulate(answers.begin(), answers.end(), 0));
    std::printf("one after the other: 100 s; here in less than 5 s: %s\n",
                took < 5s ? "yes" : "no");

    concur::thread_pool pool;
    auto f = loop.submit(request_and_compute, std::ref(pool), 7);
    std::printf("computed on the pool: %d\n", f.get());

    std::printf("run: %d\n", concur::run(program, 3, 4));

    auto sleeper = loop.submit([]() -> task<void> { co_await concur::sleep_for(1h); });
    sleeper.request_stop();  // reaches a suspended coroutine
    try {
        sleeper.get();
    } catch (concur::task_cancelled const&) {
        std::printf("cancelled\n");
    }
}

// Output:
// 1000 requests of 0.1 s each, the sum of the answers is 4500
// one after the other: 100 s; here in less than 5 s: yes
// computed on the pool: 25
// run: 7
// cancelled

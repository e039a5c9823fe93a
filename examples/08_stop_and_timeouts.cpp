// SPDX-License-Identifier: BSL-1.0
// New here: how work ends early. A task that has not started can be cancelled; one that runs can
// only be asked, by request_stop() or a timeout, and has to look. Read 09_pool_options.cpp next.

#include <concur/thread_pool.hpp>

#include <chrono>
#include <cstdio>
#include <stop_token>
#include <thread>

using namespace std::chrono_literals;

// Works in small steps and looks each time; this_task::stop_requested() costs a load.
int count_until_stopped() {
    int steps = 0;
    for (; !concur::this_task::stop_requested(); ++steps) std::this_thread::sleep_for(1ms);
    return steps;
}

// The same with a token, which std::stop_callback and condition_variable_any can use too.
int count_with_token(std::stop_token token, int from) {
    while (!token.stop_requested()) std::this_thread::sleep_for(1ms);
    return from;
}

int main() {
    concur::thread_pool pool(1);
    auto running = pool.submit(count_until_stopped);
    auto waiting = pool.submit(count_with_token, 100);
    while (!running.running()) std::this_thread::yield();

    std::printf("cancel the waiting one: %s\n", waiting.cancel() ? "yes" : "no");
    std::printf("cancel the running one: %s\n", running.cancel() ? "yes" : "no");
    running.request_stop();
    std::printf("it stopped by itself: %s\n", running.get() >= 0 ? "yes" : "no");
    std::printf("the other one: %s\n", waiting.get_outcome().what().c_str());

    // At its limit the future is done; the worker is free when the task has noticed.
    auto limited = pool.submit({.name = "search", .timeout = 50ms}, count_with_token, 0);
    limited.wait();
    auto patient = pool.submit([] { return count_until_stopped() >= 0; });
    while (!patient.running()) std::this_thread::yield();
    std::printf("%s\n", limited.get_outcome().what().c_str());
    // get() with a limit gives up the waiting only.
    try {
        patient.get(10ms);
    } catch (concur::timeout_error const&) {
        patient.request_stop();
    }
    std::printf("still valid, and %s\n", patient.get() ? "well" : "not well");
}

// Output:
// cancel the waiting one: yes
// cancel the running one: no
// it stopped by itself: yes
// the other one: the task was cancelled
// the task 'search' ran into its time limit of 0.05 s
// still valid, and well

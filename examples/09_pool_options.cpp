// SPDX-License-Identifier: BSL-1.0
// New here: the options of a thread_pool. Read 10_order_and_shutdown.cpp next.

#include <concur/thread_pool.hpp>

#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>

// What a worker needs all its life: a connection, a buffer, a model.
thread_local std::string connection;

void connect(std::size_t worker) { connection = "connection " + std::to_string(worker); }

void report(std::exception_ptr problem) {
    try {
        std::rethrow_exception(problem);
    } catch (std::exception const& e) {
        std::printf("on_error: %s\n", e.what());
    }
}

int main() {
    concur::thread_pool pool({
        .workers = 2,            // 0, the default: usable_cpus()
        .name = "io",            // of the threads, for debuggers and top
        .initializer = connect,  // once in every worker, before its first task
        .on_error = report,      // gets what nobody else would: see below
        .max_pending = 100,      // submit() from outside waits while so many tasks wait
    });

    auto mine = pool.submit(
        [] { return connection == "connection " + std::to_string(concur::this_worker::index()); });
    std::printf("a task finds its worker's connection: %s\n", mine.get() ? "yes" : "no");

    // post() gives no future, so what the task throws goes to on_error.
    pool.post([] { throw std::runtime_error("the disk is full"); });
    pool.wait_idle();  // until nothing is pending or running; the pool stays usable

    // When an initializer throws, the pool is broken, and everybody learns why.
    concur::thread_pool broken(
        {.workers = 1, .initializer = [] { throw std::runtime_error("no route"); }});
    try {
        broken.submit([] { return 1; }).get();
    } catch (concur::broken_executor const& problem) {
        std::printf("%s\n", problem.what());
    }
}

// Output:
// a task finds its worker's connection: yes
// on_error: the disk is full
// thread_pool: the initializer of worker 0 threw: no route

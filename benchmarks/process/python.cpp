// SPDX-License-Identifier: BSL-1.0
// Python's concurrent.futures.ProcessPoolExecutor, in a python3 of its own. It prints its own
// times: the start of Python is not in them. Its tasks are built-in functions, the cheapest there
// are.
#include "../harness/python.hpp"
#include "problem.hpp"

namespace {

using namespace processes;

/// Runs a script that prints one number, with the names N and W set and a pool made.
double run_python(bench::run& r, std::size_t n, std::size_t workers, std::string const& body) {
    return bench::number_from_python(
        r, n,
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from statistics import median\n"
        "from time import perf_counter as now\n"
        "N, W = " +
            std::to_string(n) + ", " + std::to_string(workers) +
            "\n"
            "with ProcessPoolExecutor(W) as pool:\n"
            "    assert list(pool.map(abs, range(W * 10))) == list(range(W * 10))\n" +
            body);
}

void run_hot(bench::run& r) {
    r.counter("median_ns", run_python(r, r.size(3000, 300), 1, R"(
    taken = []
    for i in range(N):
        t = now()
        assert pool.submit(abs, i).result() == i
        taken.append(now() - t)
    print(median(taken) * 1e9)
)"));
}

void run_empty_tasks(bench::run& r) {
    auto const n = r.size(20'000, 2'000);
    double const seconds = run_python(r, n, r.workers(), R"(
    t = now()
    futures = [pool.submit(int) for i in range(N)]
    assert all(f.result() == 0 for f in futures)
    print(now() - t)
)");
    r.counter("task_ns", seconds * 1e9 / static_cast<double>(n));
}

void run_map(bench::run& r) {
    auto const n = r.size(1'000'000, 100'000);
    double const seconds = run_python(r, n, r.workers(), R"(
    t = now()
    output = list(pool.map(abs, range(N), chunksize=1000))
    t = now() - t
    assert output == list(range(N))
    print(t)
)");
    r.counter("item_ns", seconds * 1e9 / static_cast<double>(n));
}

/// The worker only looks at the length: adding up takes Python longer than the way there.
void run_large(bench::run& r) {
    r.counter("total_ms", run_python(r, large_rounds, 1,
                                     R"(
    from array import array
    values = array('d', [1.0]) * )" + std::to_string(large_doubles) +
                                         R"(
    taken = []
    for i in range(N + 1):
        t = now()
        assert pool.submit(len, values).result() == len(values)
        taken.append(now() - t)
    print(median(taken[1:]) * 1e3)
)"));
}

bench::rival const rival{"python",
                         {{hot, run_hot},
                          {empty_tasks, run_empty_tasks},
                          {map_cheap, run_map},
                          {map_lazy, run_map},
                          {large, run_large}}};

}  // namespace

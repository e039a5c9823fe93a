// SPDX-License-Identifier: BSL-1.0
// Python's multiprocessing.shared_memory and ProcessPoolExecutor, in a python3 of its own, which
// prints its own times: the start of Python is not in them.
#include "../harness/python.hpp"
#include "problem.hpp"

namespace {

using namespace sharing;

/// Runs a script that prints one number, with N set.
double run_python(bench::run& r, std::size_t n, std::string const& body) {
    return bench::number_from_python(r, n,
                                     "from concurrent.futures import ProcessPoolExecutor\n"
                                     "from multiprocessing.shared_memory import SharedMemory\n"
                                     "from statistics import median\n"
                                     "from time import perf_counter as now\n"
                                     "N, G = " +
                                         std::to_string(n) +
                                         ", 1 << 30\n"
                                         "def look(name):\n"
                                         "    memory = SharedMemory(name)\n"
                                         "    n = len(memory.buf)\n"
                                         "    memory.close()\n"
                                         "    return n\n" +
                                         body);
}

void run_make(bench::run& r) {
    r.counter("make_us", run_python(r, r.size(300, 50), R"(
t = now()
for i in range(N):
    memory = SharedMemory(create=True, size=G)
    memory.close()
    memory.unlink()
print((now() - t) / N * 1e6)
)"));
}

void run_handle(bench::run& r) {
    r.counter("median_ns", run_python(r, r.size(1000, 100), R"(
memory = SharedMemory(create=True, size=G)
taken = []
with ProcessPoolExecutor(1) as pool:
    pool.submit(look, memory.name).result()
    for i in range(N):
        t = now()
        assert pool.submit(look, memory.name).result() >= G
        taken.append(now() - t)
memory.close()
memory.unlink()
print(median(taken) * 1e9)
)"));
}

bench::rival const rival{"python", {{make, run_make}, {handle, run_handle}}};

}  // namespace

// SPDX-License-Identifier: BSL-1.0
// OpenMP tasks: no futures, and no queue either (past 64 waiting tasks per thread, libgomp runs a
// task at once).
#include "problem.hpp"

namespace {

void tasks(bench::run& r) {
    auto const n = r.size(1'000'000, 50'000);
    submission::exactly const expected{n};
    int const threads = static_cast<int>(r.workers());
    r.measure(n, [&] {
#pragma omp parallel num_threads(threads)
#pragma omp single
        for (std::size_t i = 0; i < n; ++i) {
#pragma omp task
            submission::count_one();
        }
    });
    expected.check();
}

bench::rival const rival{"openmp",
                         {{submission::submit_get, tasks}, {submission::post_wait, tasks}}};

}  // namespace

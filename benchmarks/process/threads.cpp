// SPDX-License-Identifier: BSL-1.0
// concur::thread_pool: the same calls without a border in between.
#include "problem.hpp"

#include <concur/thread_pool.hpp>

#include <ranges>

namespace {

using namespace processes;

void run_empty_tasks(bench::run& r) {
    auto const n = r.size(1'000'000, 50'000);
    concur::thread_pool pool{{.workers = r.workers()}};
    r.measure(n, [&] {
        std::vector<concur::future<void>> futures;
        futures.reserve(n);
        for (std::size_t i = 0; i < n; ++i) futures.push_back(pool.submit([] {}));
        for (auto& each : futures) each.get();
    });
    bench::run::check(pool.stats().completed == n, "tasks were lost, or ran twice");
    r.counter("task_ns", r.result().wall * 1e9 / static_cast<double>(n));
}

void run_map(bench::run& r, bool lazily) {
    auto const n = r.size(1'000'000, 100'000);
    concur::thread_pool pool{{.workers = r.workers()}};
    auto const hashes = [&](std::size_t count) {
        auto made = pool.map([](std::uint32_t i) { return mix32(i); },
                             std::views::iota(std::uint32_t{0}, static_cast<std::uint32_t>(count)));
        if (!lazily) return made.collect();
        std::vector<std::uint32_t> output;
        output.reserve(count);
        for (std::uint32_t const hash : made) output.push_back(hash);
        return output;
    };
    hashes(n / 10);  // wakes every worker
    std::vector<std::uint32_t> output;
    r.measure(n, [&] { output = hashes(n); });
    check_hashes(output, n);
    r.counter("item_ns", r.result().wall * 1e9 / static_cast<double>(n));
}
void run_map_collect(bench::run& r) { run_map(r, false); }
void run_map_lazy(bench::run& r) { run_map(r, true); }

bench::rival const rival{
    "threads",
    {{empty_tasks, run_empty_tasks}, {map_cheap, run_map_collect}, {map_lazy, run_map_lazy}}};

}  // namespace

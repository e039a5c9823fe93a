// SPDX-License-Identifier: BSL-1.0
// std::async: a thread per task, and so fewer tasks. They are joined in waves: a million threads at
// once do not exist.
#include "problem.hpp"

#include <future>

namespace {

using submission::count_one;

void async_and_get(std::size_t n) {
    std::size_t const wave = 1000;
    std::vector<std::future<void>> futures;
    for (std::size_t done = 0; done < n; done += futures.size()) {
        futures.clear();
        while (futures.size() < std::min(wave, n - done))
            futures.push_back(std::async(std::launch::async, [] { count_one(); }));
        for (auto& each : futures) each.get();
    }
}

void submit_get(bench::run& r) {
    auto const n = r.size(20'000, 1'000);
    submission::exactly const expected{n};
    r.measure(n, [&] { async_and_get(n); });
    expected.check();
}

void submit_get_2(bench::run& r) {
    auto const n = r.size(20'000, 1'000);
    submission::exactly const expected{n};
    submission::measure_two_threads(r, n, async_and_get);
    expected.check();
}

void trips(bench::run& r, std::size_t count, std::chrono::microseconds pause) {
    submission::measure_trips(r, count, pause, [](std::uint64_t i) {
        return std::async(std::launch::async, [i] { return i; }).get();
    });
}

void hot(bench::run& r) { trips(r, r.size(5'000, 500), {}); }
void idle(bench::run& r) { trips(r, r.size(1'500, 200), std::chrono::microseconds{300}); }

bench::rival const rival{"std_async",
                         {{submission::submit_get, submit_get},
                          {submission::submit_get_2, submit_get_2},
                          {submission::round_trip_hot, hot},
                          {submission::round_trip_idle, idle}}};

}  // namespace

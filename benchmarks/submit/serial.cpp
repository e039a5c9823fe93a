// SPDX-License-Identifier: BSL-1.0
// The floor: the caller runs a std::packaged_task at once, so this is what the standard's task and
// future cost alone.
#include "problem.hpp"

#include <future>

namespace {

void submit_get(bench::run& r) {
    auto const n = r.size(1'000'000, 50'000);
    submission::exactly const expected{n};
    r.measure(n, [&] {
        std::vector<std::future<void>> futures;
        futures.reserve(n);
        for (std::size_t i = 0; i < n; ++i) {
            std::packaged_task<void()> task{[] { submission::count_one(); }};
            futures.push_back(task.get_future());
            task();
        }
        for (auto& each : futures) each.get();
    });
    expected.check();
}

bench::rival const rival{"serial", {{submission::submit_get, submit_get}}};

}  // namespace

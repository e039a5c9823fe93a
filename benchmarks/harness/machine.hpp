// SPDX-License-Identifier: BSL-1.0
// The machine below the figures: what it is, and whether it is quiet enough to be measured.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace bench {

/// CPUs in the affinity mask of this process.
[[nodiscard]] std::vector<int> affinity_cpus();

/// A figure and whether it is written with quotes in JSON.
struct fact {
    std::string key;
    std::string value;
    bool quoted = true;
};

/// Everything that a reader needs to know to believe a figure: Google Benchmark's context, and ours
/// after it.
[[nodiscard]] std::vector<fact> describe_machine();

/// Waits until this process has gone idle (workers of the last rival may still spin) and every CPU
/// delivers what it once could (nobody else is running). False: it did not happen within `limit`;
/// measure anyway.
bool wait_until_quiet(std::chrono::milliseconds limit);

}  // namespace bench

// SPDX-License-Identifier: BSL-1.0
// The runner's own view of what the benchmark files registered, and of what the user asked for.
#pragma once

#include "../harness.hpp"

#include <optional>
#include <utility>

namespace bench {

/// One rival's answer to one problem.
struct entry {
    problem const* what;
    std::string_view rival;
    body how;

    [[nodiscard]] std::string name() const {
        return std::string{what->name} + "/" + std::string{rival};
    }
};

[[nodiscard]] std::vector<entry>& registered_entries();
[[nodiscard]] std::vector<bar>& registered_bars();

struct options {
    std::string filter = ".";
    std::size_t repetitions = 0;       // 0: 9, or 3 when quick
    std::vector<std::size_t> workers;  // empty: the CPUs this process may use
    std::string base = "concur";       // the rival that the table's ratios refer to
    std::string out;                   // also write JSON here
    std::chrono::milliseconds quiet{250};
    std::vector<std::pair<std::string, std::string>> context;
    std::string child;  // hidden: run this entry once and print the sample
    bool quick = false;
    bool json = false;
    bool list = false;
};

/// Throws std::invalid_argument with a line for the user. An empty result: help was asked for, and
/// printed.
[[nodiscard]] std::optional<options> parse(int argc, char** argv);

/// All repetitions of one rival at one problem.
struct series {
    entry const* who = nullptr;
    std::size_t workers = 0;
    std::vector<sample> samples;
};

/// The middle of several measurements, and how far they lie apart.
struct summary {
    double median = 0;
    double min = 0;
    double mad = 0;  // median absolute deviation

    [[nodiscard]] bool overlaps(summary const& other) const {
        double const apart = median > other.median ? median - other.median : other.median - median;
        // 1.48 MAD is the standard deviation of a normal distribution: one such spread on either
        // side.
        return apart <= 1.48 * (mad + other.mad);
    }
};

[[nodiscard]] summary summarise(std::vector<double> values);
/// The figure by which `s` is compared, or the given counter.
[[nodiscard]] summary figure(series const& s, std::string_view counter = {});
[[nodiscard]] summary cpu_per_item(series const& s);

/// How one bar came out.
struct verdict {
    std::size_t workers = 0;
    std::string text;  // what is required of what
    double limit = 0;
    std::optional<double> measured = {};  // empty: a rival is missing, or filtered out
    bool at_least = false;
    bool met = false;
    bool close = false;  // the spreads reach over the limit
};

[[nodiscard]] std::vector<verdict> judge(std::vector<series> const& all, std::size_t workers);

void print_tables(std::span<series const> all, options const& chosen);
void print_verdicts(std::vector<verdict> const& verdicts, options const& chosen);
[[nodiscard]] std::string to_json(std::vector<series> const& all,
                                  std::vector<verdict> const& verdicts, options const& chosen);

/// Runs one entry once in a fresh copy of this program.
[[nodiscard]] sample run_isolated(entry const& who, std::size_t workers, bool quick);
/// The other side of run_isolated: prints the sample of one run.
void print_sample(sample const& s);

}  // namespace bench

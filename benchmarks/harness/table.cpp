// SPDX-License-Identifier: BSL-1.0
// The report for people.
#include "registry.hpp"

#include <fmt/core.h>
#include <algorithm>

namespace bench {
namespace {

std::string number(double value) {
    if (value == 0) return "0";
    if (value < 0.01) return fmt::format("{:.2g}", value);
    if (value < 10) return fmt::format("{:.3f}", value);
    return fmt::format("{:.{}f}", value, value < 1000 ? 1 : 0);
}

series const* find_base(std::span<series const> rivals, std::string const& name) {
    auto const found = std::find_if(rivals.begin(), rivals.end(),
                                    [&](series const& s) { return s.who->rival == name; });
    return found == rivals.end() ? nullptr : &*found;
}

/// "5.80", or "~1.02" when the spreads overlap and the ratio therefore says nothing.
std::string ratio(summary const& row, series const* base) {
    if (base == nullptr) return "-";
    summary const other = figure(*base);
    if (other.median == 0) return "-";
    return fmt::format("{}{:.2f}", row.overlaps(other) ? "~" : "", row.median / other.median);
}

std::string other_counters(series const& s) {
    std::string text;
    for (auto const& [name, value] : s.samples.front().extra)
        if (name != s.who->what->counter)
            text += fmt::format("  {}={}", name, number(figure(s, name).median));
    return text;
}

void print_table(std::span<series const> rivals, options const& chosen) {
    problem const& what = *rivals.front().who->what;
    series const* base = find_base(rivals, chosen.base);
    fmt::print("{}: {}\n  {}; {} workers, {} repetitions, interleaved\n", what.name, what.title,
               what.unit, rivals.front().workers, chosen.repetitions);
    fmt::print("  {:<14} {:>10} {:>10} {:>8} {:>11} {:>9}\n", "rival", "median", "min", "+-MAD",
               "cpu ns/item", "/ " + chosen.base);
    for (auto const& row : rivals) {
        summary const own = figure(row);
        double const spread = own.median > 0 ? 100 * own.mad / own.median : 0;
        fmt::print("  {:<14} {:>10} {:>10} {:>6.1f} % {:>11} {:>9}{}\n", row.who->rival,
                   number(own.median), number(own.min), spread, number(cpu_per_item(row).median),
                   ratio(own, base), other_counters(row));
    }
    fmt::print("\n");
}

std::string outcome(verdict const& v) {
    if (!v.measured) return "not measured (a rival is missing or filtered out)";
    return fmt::format("measured {}: {}{}", number(*v.measured), v.met ? "met" : "missed",
                       v.close ? " (~ within the spread)" : "");
}

}  // namespace

void print_tables(std::span<series const> all, options const& chosen) {
    for (auto first = all.begin(); first != all.end();) {
        auto const last = std::find_if(
            first, all.end(), [&](series const& s) { return s.who->what != first->who->what; });
        print_table({first, last}, chosen);
        first = last;
    }
    std::fflush(stdout);
}

void print_verdicts(std::vector<verdict> const& verdicts, options const& chosen) {
    for (auto const& each : verdicts)
        fmt::print("bar: {} required {} {}, {}\n", each.text,
                   each.at_least ? ">=" : "<=", number(each.limit), outcome(each));
    if (chosen.quick && !verdicts.empty())
        fmt::print("(a quick run: small inputs, few repetitions; no verdict)\n");
}

}  // namespace bench

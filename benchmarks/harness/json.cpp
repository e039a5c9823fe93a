// SPDX-License-Identifier: BSL-1.0
// The report for programs, in Google Benchmark's layout: its compare.py and its plotters read it.
// "bars" is our addition.
#include "machine.hpp"
#include "registry.hpp"

#include <fmt/core.h>

namespace bench {
namespace {

std::string quoted(std::string_view text) {
    std::string result = "\"";
    for (char const c : text) {
        if (c == '"' || c == '\\') result += '\\';
        if (static_cast<unsigned char>(c) >= 0x20) result += c;
    }
    return result + '"';
}

/// A JSON list, one element a line.
class list {
public:
    void add(std::string_view element) {
        text_ += text_.empty() ? "\n    " : ",\n    ";
        text_ += element;
    }
    [[nodiscard]] std::string str() const { return "[" + text_ + "\n  ]"; }

private:
    std::string text_;
};

struct row_values {
    double real = 0;
    double cpu = 0;
    std::uint64_t items = 0;
    counters extra = {};
};

std::string row(series const& s, options const& chosen, std::string_view kind,
                std::string_view aggregate, row_values const& values) {
    std::string const name = fmt::format("{}/workers:{}", s.who->name(), s.workers);
    std::string text = fmt::format(
        R"({{"name": {}, "run_name": {}, "run_type": "{}", "repetitions": {}, "threads": {})",
        quoted(aggregate.empty() ? name : fmt::format("{}_{}", name, aggregate)), quoted(name),
        kind, chosen.repetitions, s.workers);
    if (!aggregate.empty())
        text += fmt::format(R"(, "aggregate_name": "{}", "aggregate_unit": "time")", aggregate);
    text += fmt::format(R"(, "iterations": {}, "real_time": {}, "cpu_time": {}, "time_unit": "ns")",
                        values.items, values.real, values.cpu);
    for (auto const& [counter, value] : values.extra)
        text += fmt::format(", {}: {}", quoted(counter), value);
    return text + "}";
}

/// The same figure of the summaries of wall time, CPU time and each counter.
row_values aggregate(series const& s, summary const& real, double summary::* which) {
    row_values values{
        .real = real.*which, .cpu = cpu_per_item(s).*which, .items = s.samples.size()};
    for (auto const& each : s.samples.front().extra)
        values.extra[each.first] = figure(s, each.first).*which;
    return values;
}

void add_series(list& rows, series const& s, options const& chosen) {
    std::vector<double> times;
    for (auto const& each : s.samples) {
        double const items = static_cast<double>(each.items);
        times.push_back(each.wall * 1e9 / items);
        rows.add(row(s, chosen, "iteration", {},
                     {times.back(), each.cpu * 1e9 / items, each.items, each.extra}));
    }
    summary const real = summarise(std::move(times));
    rows.add(row(s, chosen, "aggregate", "median", aggregate(s, real, &summary::median)));
    rows.add(row(s, chosen, "aggregate", "min", aggregate(s, real, &summary::min)));
    rows.add(row(s, chosen, "aggregate", "mad", aggregate(s, real, &summary::mad)));
}

std::string context(options const& chosen) {
    std::string text;
    for (auto const& [key, value, with_quotes] : describe_machine())
        text += fmt::format("{}\n    {}: {}", text.empty() ? "" : ",", quoted(key),
                            with_quotes ? quoted(value) : value);
    for (auto const& [key, value] : chosen.context)
        text += fmt::format(",\n    {}: {}", quoted(key), quoted(value));
    return "{" + text + "\n  }";
}

std::string bar_row(verdict const& v) {
    return fmt::format(
        R"({{"bar": {}, "workers": {}, "direction": "{}", "limit": {}, "measured": {}, "verdict": "{}", "within_spread": {}}})",
        quoted(v.text), v.workers, v.at_least ? "at least" : "at most", v.limit,
        v.measured ? fmt::format("{}", *v.measured) : "null",
        !v.measured ? "not measured"
        : v.met     ? "met"
                    : "missed",
        v.close);
}

}  // namespace

std::string to_json(std::vector<series> const& all, std::vector<verdict> const& verdicts,
                    options const& chosen) {
    list rows;
    for (auto const& each : all) add_series(rows, each, chosen);
    list judged;
    for (auto const& each : verdicts) judged.add(bar_row(each));
    return fmt::format("{{\n  \"context\": {},\n  \"benchmarks\": {},\n  \"bars\": {}\n}}\n",
                       context(chosen), rows.str(), judged.str());
}

}  // namespace bench

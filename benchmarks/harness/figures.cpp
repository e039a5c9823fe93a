// SPDX-License-Identifier: BSL-1.0
// From samples to figures, and from figures to verdicts.
#include "registry.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <cmath>

namespace bench {
namespace {

template <class Of>
summary over_samples(series const& s, Of of) {
    std::vector<double> values;
    for (auto const& each : s.samples) values.push_back(of(each));
    return summarise(std::move(values));
}

series const* find(std::vector<series> const& all, problem const& what, std::string_view rival) {
    for (auto const& each : all)
        if (each.who->what == &what && each.who->rival == rival && !each.samples.empty())
            return &each;
    return nullptr;
}

/// The rival with the least figure, or none when one is missing: the best of fewer would be an
/// easier bar.
series const* best_of(std::vector<series> const& all, bar const& wanted) {
    series const* best = nullptr;
    for (auto const name : wanted.rivals) {
        series const* each = find(all, wanted.what, name);
        if (each == nullptr) return nullptr;
        if (best == nullptr ||
            figure(*each, wanted.counter).median < figure(*best, wanted.counter).median)
            best = each;
    }
    return best;
}

/// `a` / `b` with the spreads carried along.
void compare(verdict& result, summary const& a, summary const& b) {
    double const ratio = a.median / b.median;
    double const spread = 1.48 * ratio * (a.mad / a.median + b.mad / b.median);
    result.measured = ratio;
    result.close = std::abs(ratio - result.limit) <= spread;
}

std::string describe(bar const& wanted, std::size_t workers) {
    std::string const name{wanted.what.name};
    std::string const of =
        wanted.counter.empty() ? name : fmt::format("{} {}", name, wanted.counter);
    if (wanted.how == bar::kind::absolute)
        return wanted.counter.empty() ? fmt::format("{} ({})", name, wanted.what.unit) : of;
    if (wanted.how == bar::kind::speed_up_per_worker)
        return fmt::format("{} speed-up over serial / {} workers", of, workers);
    bool const several = wanted.rivals.size() > 1;
    return fmt::format("{} concur / {}{}{}", of, several ? "best of {" : "",
                       fmt::join(wanted.rivals, ", "), several ? "}" : "");
}

verdict judge_one(std::vector<series> const& all, bar const& wanted, std::size_t workers) {
    verdict result{.workers = workers,
                   .text = describe(wanted, workers),
                   .limit = wanted.limit,
                   .at_least = wanted.how == bar::kind::speed_up_per_worker};
    series const* own = find(all, wanted.what, "concur");
    if (own == nullptr) return result;
    summary const mine = figure(*own, wanted.counter);
    if (wanted.how == bar::kind::absolute) {
        result.measured = mine.median;
        result.close = std::abs(mine.median - wanted.limit) <= 1.48 * mine.mad && mine.mad > 0;
    } else if (wanted.how == bar::kind::speed_up_per_worker) {
        series const* serial = find(all, wanted.what, "serial");
        if (serial == nullptr) return result;
        summary share = mine;  // of the work that each worker would do in an ideal world
        share.median *= static_cast<double>(workers);
        share.mad *= static_cast<double>(workers);
        compare(result, figure(*serial), share);
    } else {
        series const* other = best_of(all, wanted);
        if (other == nullptr) return result;
        compare(result, mine, figure(*other, wanted.counter));
    }
    result.met =
        result.at_least ? *result.measured >= result.limit : *result.measured <= result.limit;
    return result;
}

}  // namespace

double quantile(std::span<double> values, double q) {
    if (values.empty()) return 0;
    auto const position =
        static_cast<std::size_t>(q * static_cast<double>(values.size() - 1) + 0.5);
    std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(position),
                     values.end());
    return values[position];
}

summary summarise(std::vector<double> values) {
    if (values.empty()) return {};
    summary result;
    result.min = *std::min_element(values.begin(), values.end());
    result.median = quantile(values, 0.5);
    for (double& each : values) each = std::abs(each - result.median);
    result.mad = quantile(values, 0.5);
    return result;
}

summary figure(series const& s, std::string_view counter) {
    std::string_view const name = counter.empty() ? s.who->what->counter : counter;
    return over_samples(s, [&](sample const& each) {
        if (name.empty()) return each.wall * 1e9 / static_cast<double>(each.items);
        auto const found = each.extra.find(name);
        return found == each.extra.end() ? 0.0 : found->second;
    });
}

summary cpu_per_item(series const& s) {
    return over_samples(
        s, [](sample const& each) { return each.cpu * 1e9 / static_cast<double>(each.items); });
}

std::vector<verdict> judge(std::vector<series> const& all, std::size_t workers) {
    std::vector<verdict> verdicts;
    for (auto const& wanted : registered_bars())
        if (std::any_of(all.begin(), all.end(),
                        [&](series const& s) { return s.who->what == &wanted.what; }))
            verdicts.push_back(judge_one(all, wanted, workers));
    return verdicts;
}

}  // namespace bench

// SPDX-License-Identifier: BSL-1.0
// The runner: A B C, B C A, C A B, ... in one process, so that a slow minute of the machine hits
// every rival alike.
#include "machine.hpp"
#include "registry.hpp"

#include <fmt/core.h>
#include <unistd.h>
#include <algorithm>
#include <fstream>
#include <regex>

namespace bench {

std::vector<entry>& registered_entries() {
    static std::vector<entry> entries;
    return entries;
}

std::vector<bar>& registered_bars() {
    static std::vector<bar> list;
    return list;
}

rival::rival(std::string_view name, std::initializer_list<solution> solutions) {
    for (auto const& each : solutions) registered_entries().push_back({&each.what, name, each.how});
}

bars::bars(std::initializer_list<bar> list) {
    for (auto const& each : list) registered_bars().push_back(each);
}

namespace {

sample run_once(entry const& who, std::size_t workers, options const& chosen) {
    try {
        if (chosen.quiet.count() > 0) wait_until_quiet(chosen.quiet);
        run current{workers, chosen.quick};
        if (!who.what->isolated) who.how(current);
        sample taken =
            who.what->isolated ? run_isolated(who, workers, chosen.quick) : current.result();
        run::check(taken.items > 0, "nothing was measured");
        return taken;
    } catch (std::exception const& error) {
        throw wrong_result{fmt::format("{}: {}", who.name(), error.what())};
    }
}

/// All rivals of one problem, interleaved. The first round warms up and is not counted.
void run_problem(std::span<series> rivals, options const& chosen) {
    std::size_t const rounds = chosen.repetitions + 1;
    bool const watched = isatty(STDERR_FILENO) == 1;
    for (std::size_t round = 0; round < rounds; ++round)
        for (std::size_t turn = 0; turn < rivals.size(); ++turn) {
            series& now = rivals[(round + turn) % rivals.size()];
            if (watched)
                fmt::print(stderr, "\r\033[K{} {}/{}", now.who->name(), round, chosen.repetitions);
            sample taken = run_once(*now.who, now.workers, chosen);
            if (round > 0) now.samples.push_back(std::move(taken));
        }
    if (watched) fmt::print(stderr, "\r\033[K");
}

/// The chosen entries, those of one problem together, problems in the order of registration.
std::vector<entry const*> select(std::string const& filter) {
    std::regex const wanted{filter};
    std::vector<problem const*> problems;
    for (auto const& each : registered_entries())
        if (std::find(problems.begin(), problems.end(), each.what) == problems.end())
            problems.push_back(each.what);
    std::vector<entry const*> selected;
    for (problem const* what : problems)
        for (auto const& each : registered_entries())
            if (each.what == what && std::regex_search(each.name(), wanted))
                selected.push_back(&each);
    return selected;
}

std::vector<series> run_all(std::vector<entry const*> const& selected, std::size_t workers,
                            options const& chosen) {
    std::vector<series> all;
    for (entry const* each : selected) all.push_back({each, workers, {}});
    for (auto first = all.begin(); first != all.end();) {
        auto const last = std::find_if(
            first, all.end(), [&](series const& s) { return s.who->what != first->who->what; });
        run_problem({first, last}, chosen);
        if (!chosen.json) print_tables({first, last}, chosen);
        first = last;
    }
    return all;
}

/// What the process made by run_isolated does.
int run_child(options const& chosen) {
    for (auto const& each : registered_entries())
        if (each.name() == chosen.child) {
            run only{chosen.workers.at(0), chosen.quick};
            each.how(only);
            print_sample(only.result());
            return 0;
        }
    throw std::invalid_argument{"no benchmark of this name: " + chosen.child};
}

void print_header(options const& chosen) {
    for (auto const& [key, value, quoted] : describe_machine())
        if (key != "json_schema_version" && key != "cpu_scaling_enabled")
            fmt::print("# {}: {}\n", key, value);
    for (auto const& [key, value] : chosen.context) fmt::print("# {}: {}\n", key, value);
#ifndef NDEBUG
    fmt::print("# WARNING: built without NDEBUG; figures of a debug build mean nothing\n");
#endif
    fmt::print("\n");
}

int run_program(options chosen) {
    auto const selected = select(chosen.filter);
    if (chosen.list) {
        for (entry const* each : selected) fmt::print("{}\n", each->name());
        return 0;
    }
    if (!chosen.json) print_header(chosen);
    if (chosen.workers.empty()) chosen.workers.push_back(affinity_cpus().size());
    std::vector<series> all;
    std::vector<verdict> verdicts;
    for (std::size_t const workers : chosen.workers) {
        auto measured = run_all(selected, workers, chosen);
        auto judged = judge(measured, workers);
        if (!chosen.json) print_verdicts(judged, chosen);
        std::move(measured.begin(), measured.end(), std::back_inserter(all));
        std::move(judged.begin(), judged.end(), std::back_inserter(verdicts));
    }
    std::string const json = to_json(all, verdicts, chosen);
    if (chosen.json) fmt::print("{}", json);
    if (!chosen.out.empty() && !(std::ofstream{chosen.out} << json << std::flush))
        throw std::runtime_error{"cannot write " + chosen.out};
    return 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
    try {
        auto const chosen = bench::parse(argc, argv);
        if (!chosen) return 0;
        return chosen->child.empty() ? bench::run_program(*chosen) : bench::run_child(*chosen);
    } catch (bench::wrong_result const& error) {
        fmt::print(stderr, "\nwrong result: {}\n", error.what());
    } catch (std::invalid_argument const& error) {
        fmt::print(stderr, "{}\n", error.what());
        return 2;
    } catch (std::exception const& error) {
        fmt::print(stderr, "\n{}\n", error.what());
    }
    return 1;
}

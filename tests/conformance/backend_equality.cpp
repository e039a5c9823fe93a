// SPDX-License-Identifier: BSL-1.0
// Row 154: one program, the same results, order and errors on every executor.
#include "all_executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/as_completed.hpp>
#include <concur/executor.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

using namespace conformance;

namespace {

struct run {
    int parameter;
    int repetition;
};

/// One run of a small simulation; some parameters are not viable.
double simulate(const run& r) {
    if (r.parameter % 5 == 4 && r.repetition == 1)
        throw std::runtime_error("parameter " + std::to_string(r.parameter) + " blew up");
    std::uint64_t state = concur::this_task::seed();
    double population = 100.0 + r.parameter;
    for (int step = 0; step != 200; ++step) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        population *= 1.0 + (static_cast<double>(state >> 40) / 16'777'216.0 - 0.5) / 50.0;
    }
    return population;
}

/// A sweep: parameters x repetitions, from a generator.
auto sweep() {
    return std::views::iota(0, 60) | std::views::transform([](int i) {
               return run{.parameter = i / 3, .repetition = i % 3};
           });
}

std::string exactly(double x) {
    char text[64];
    std::snprintf(text, sizeof text, "%a", x);
    return text;
}

/// Everything that the program prints.
std::vector<std::string> program(concur::executor auto& ex, const concur::map_options& options) {
    std::vector<std::string> log;
    auto outcomes = ex.map(options, simulate, sweep()).outcomes();
    for (auto&& outcome : outcomes)
        log.push_back(outcome.has_value() ? exactly(*outcome) : outcome.what());

    log.push_back("until the first failure:");
    try {
        for (const double x : ex.map(options, simulate, sweep())) log.push_back(exactly(x));
    } catch (const std::runtime_error& error) {
        log.emplace_back(error.what());
    }

    const auto viable = [](const run& r) { return simulate({r.parameter, 0}); };
    log.push_back("sum " + exactly(ex.map_reduce(options, viable, std::plus<>(), sweep(), 0.0)));

    std::map<int, concur::future<std::string>> labels;
    for (int i = 0; i != 10; ++i)
        labels.emplace(i, ex.submit([i] {
            if (i == 7) throw std::out_of_range("seven");
            return "label " + std::to_string(i);
        }));
    std::map<int, std::string> by_number;
    for (auto& [number, label] : concur::as_completed(labels)) {
        auto outcome = label.get_outcome();
        by_number[number] = outcome.has_value() ? *outcome : outcome.what();
    }
    for (const auto& entry : by_number) log.push_back(entry.second);
    return log;
}

}  // namespace

TEST_CASE_TEMPLATE("equality 154: one program gives the same on every executor", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    concur::serial_executor reference;
    const auto expected = program(reference, {.seed = 2024});
    REQUIRE(expected.size() > 60);
    for (const unsigned workers : {1U, 2U, 4U}) {
        auto ex = E::make(workers);
        for (const int chunk : {0, 1, 7, 1000}) {
            CAPTURE(workers);
            CAPTURE(chunk);
            CHECK(program(ex, {.chunk_size = chunk, .seed = 2024}) == expected);
            CHECK(program(ex, {.chunk_size = chunk, .window = 5, .seed = 2024}) == expected);
        }
    }
}

TEST_CASE_TEMPLATE("equality 154: and again the next time, but not with another seed", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    CHECK(program(ex, {.seed = 1}) == program(ex, {.seed = 1}));
    CHECK(program(ex, {.seed = 1}) != program(ex, {.seed = 2}));
    CHECK(program(ex, {}) == program(ex, {.seed = 0}));
}

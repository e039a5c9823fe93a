// SPDX-License-Identifier: BSL-1.0
// New here: what a task throws waits in its future, and get() throws it. Where one failure should
// not end everything, ask for outcomes: a value or an exception each.
// Read 06_waiting_inside_tasks.cpp next.

#include <concur/thread_pool.hpp>

#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

double parse(std::string const& text) {
    std::size_t used = 0;
    double const value = std::stod(text, &used);
    if (used != text.size()) throw std::invalid_argument("'" + text + "' is not a number");
    return value;
}

int main() {
    concur::thread_pool pool;

    auto bad = pool.submit(parse, "12 apples");
    try {
        std::printf("%g\n", bad.get());
    } catch (std::invalid_argument const& problem) {
        std::printf("get() threw: %s\n", problem.what());
    }

    // The same without a catch.
    concur::outcome<double> const result = pool.submit(parse, "7 pears").get_outcome();
    if (!result) std::printf("the outcome says: %s\n", result.what().c_str());

    // A map throws at the position of the failure, after everything before it, and is at its end.
    std::vector<std::string> const texts{"1", "2.5", "three?", "4"};
    try {
        for (double value : pool.map(parse, texts)) std::printf("%g, ", value);
    } catch (std::exception const&) {
        std::printf("and there the map ended\n");
    }

    // With outcomes it goes on.
    for (auto const& value : pool.map(parse, texts).outcomes()) {
        std::printf("%g, ", value.value_or(-1));
    }
    std::printf("and that was all\n");
}

// Output:
// get() threw: '12 apples' is not a number
// the outcome says: '7 pears' is not a number
// 1, 2.5, and there the map ended
// 1, 2.5, -1, 4, and that was all

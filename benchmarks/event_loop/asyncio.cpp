// SPDX-License-Identifier: BSL-1.0
// Python's asyncio, by a script that times itself. A million sleepers would take it 20 s; it gets a
// hundred thousand, and the figure is per item.
#include "problem.hpp"

#include <cstdio>
#include <memory>
#include <string>

namespace {

void ask_python(bench::run& r, char const* problem, std::size_t items) {
    auto const command =
        std::string("python3 " CONCUR_ASYNCIO " ") + problem + " " + std::to_string(items);
    double figure = 0;
    r.measure(items, [&] {
        std::unique_ptr<std::FILE, int (*)(std::FILE*)> const output(popen(command.c_str(), "r"),
                                                                     &pclose);
        bench::run::check(output && std::fscanf(output.get(), "%lf", &figure) == 1,
                          "python3 gave no answer");
    });
    r.counter(std::string(loops::figure), figure);
}

void spawn(bench::run& r) { ask_python(r, "spawn", r.size(50'000, 5'000)); }
void child(bench::run& r) { ask_python(r, "child", r.size(500'000, 50'000)); }
void turns(bench::run& r) { ask_python(r, "turns", r.size(100'000, 10'000)); }
void sleepers(bench::run& r) { ask_python(r, "sleepers", r.size(100'000, 20'000)); }
void sleepers_small(bench::run& r) { ask_python(r, "sleepers", 1000); }
void sleepers_1e4(bench::run& r) { ask_python(r, "sleepers", 10'000); }
void outside(bench::run& r) { ask_python(r, "outside", r.size(20'000, 5'000)); }

bench::rival const rival{"asyncio",
                         {{loops::spawn, spawn},
                          {loops::child, child},
                          {loops::turns, turns},
                          {loops::sleepers, sleepers},
                          {loops::sleepers_small, sleepers_small},
                          {loops::sleepers_1e4, sleepers_1e4},
                          {loops::sleepers_1e5, sleepers},
                          {loops::outside, outside}}};

}  // namespace

// SPDX-License-Identifier: BSL-1.0
// What a benchmark file needs: say what is solved (problem), by whom (rival), and what is required
// (bars).
//
// Every problem has a folder: problem.hpp holds the input and the checker, and each rival one .cpp
// that registers itself. The runner (harness/) interleaves the rivals, repeats, rotates their
// order, and fails when a result is wrong.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <initializer_list>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

/// One thing to be measured. Its figure is what rivals are compared by; less is better.
struct problem {
    std::string_view name;   // as on the command line: "submit_get"
    std::string_view title;  // one line above the table
    std::string_view unit;   // of the figure: "ns/task"
    std::string_view counter =
        {};                 // the counter that is the figure; empty: wall time per item, in ns
    bool isolated = false;  // each repetition in a fresh process (memory, idle CPU)
};

/// A rival's result was wrong: the whole program fails, however fast it was.
struct wrong_result : std::runtime_error {
    using std::runtime_error::runtime_error;
};

using counters = std::map<std::string, double, std::less<>>;

/// What one repetition gave.
struct sample {
    double wall = 0;          // seconds
    double cpu = 0;           // seconds of all threads of the process
    std::uint64_t items = 0;  // 0: nothing was measured
    counters extra = {};
};

[[nodiscard]] inline double process_cpu_seconds() {
    timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

/// Handed to a rival for each repetition. Pools are made before measure(), so that making one is
/// not part of the time.
class run {
public:
    run(std::size_t workers, bool quick) : workers_{workers}, quick_{quick} {}

    [[nodiscard]] std::size_t workers() const { return workers_; }
    /// `full`, or `quick` when the user asked for a short run.
    [[nodiscard]] std::size_t size(std::size_t full, std::size_t quick) const {
        return quick_ ? quick : full;
    }

    /// Times `body()`, which handles `items` items. Once in each repetition.
    template <class Body>
    void measure(std::uint64_t items, Body&& body) {
        double const cpu = process_cpu_seconds();
        auto const start = std::chrono::steady_clock::now();
        body();
        std::chrono::duration<double> const wall = std::chrono::steady_clock::now() - start;
        result_.cpu = process_cpu_seconds() - cpu;
        result_.wall = wall.count();
        result_.items = items;
    }

    /// A figure beside the time, or instead of it; the name carries the unit: "p99_ns",
    /// "bytes_per_task".
    void counter(std::string name, double value) { result_.extra[std::move(name)] = value; }

    /// Fails the program unless `ok`.
    static void check(bool ok, std::string_view what) {
        if (!ok) throw wrong_result{std::string{what}};
    }

    [[nodiscard]] sample const& result() const { return result_; }

private:
    std::size_t workers_;
    bool quick_;
    sample result_;
};

using body = void (*)(run&);

/// A library, and the problems that it solves. A namespace-scope variable of each rival's file
/// registers it.
class rival {
public:
    struct solution {
        problem const& what;
        body how;
    };
    rival(std::string_view name, std::initializer_list<solution> solutions);
};

/// A requirement on "concur", printed below the tables.
struct bar {
    enum class kind {
        time_ratio,          // concur's figure / that of the best of `rivals`, at most `limit`
        absolute,            // concur's figure itself, at most `limit`
        speed_up_per_worker  // figure of "serial" / concur's / workers, at least `limit`
    };
    problem const& what;
    kind how;
    double limit;
    std::vector<std::string_view> rivals = {};
    std::string_view counter = {};  // instead of the problem's figure
};

/// Registers the bars of one folder.
class bars {
public:
    bars(std::initializer_list<bar> list);
};

/// The value below which the part `q` (0 to 1) of `values` lies. Reorders them.
[[nodiscard]] double quantile(std::span<double> values, double q);

/// Keeps the optimiser from removing what computes `value`.
template <class T>
void keep(T const& value) {
    asm volatile("" : : "g"(&value) : "memory");
}

}  // namespace bench

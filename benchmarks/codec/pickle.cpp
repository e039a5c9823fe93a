// SPDX-License-Identifier: BSL-1.0
// Python's pickle, protocol 5, in a python3 of its own: dumps and loads of the same records as
// dataclasses. Only the two calls are timed. Without python3 nothing is measured.
#include "problem.hpp"

#include <cstdio>
#include <cstdlib>
#include <memory>

namespace {

constexpr char const* script = R"(
import pickle, time
from dataclasses import dataclass
@dataclass
class Sub:
    a: int; b: float; c: str
@dataclass
class Sim:
    id: int; time: float; done: bool; name: str; state: list; tags: list
    counts: dict; best: float; last: tuple; inner: Sub
v = [Sim(i, i * .5, i % 2 == 0, 'simulation number ' + str(i), [i * .5] * 16,
         ['alpha', 'beta', 'gamma'], {'one': i, 'two': i, 'three': i}, i * .5, (i, i * .5),
         Sub(i, i * .5, 'a string that is longer than the small ones')) for i in range(N)]
t = time.perf_counter()
w = pickle.loads(pickle.dumps(v, 5))
t = time.perf_counter() - t
print(t if w == v else 'wrong')
)";

struct close_pipe {
    void operator()(std::FILE* pipe) const { pclose(pipe); }
};

void nested(bench::run& r) {
    auto const n = r.size(10'000, 1'000);
    std::string const command =
        "python3 - 2>/dev/null <<'END'\nN = " + std::to_string(n) + script + "END\n";
    char line[64] = "";
    r.measure(n, [&] {
        std::unique_ptr<std::FILE, close_pipe> const pipe(popen(command.c_str(), "r"));
        if (pipe && !std::fgets(line, sizeof line, pipe.get())) line[0] = '\0';
    });
    char* end = line;
    double const seconds = std::strtod(line, &end);
    bench::run::check(end != line, "python3 gave no time");
    r.counter("record_ns", seconds * 1e9 / static_cast<double>(n));
}

bench::rival const rival{"pickle", {{coding::nested, nested}}};

}  // namespace

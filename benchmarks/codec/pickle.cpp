// SPDX-License-Identifier: BSL-1.0
// Python's pickle, protocol 5, in a python3 of its own: dumps and loads of the same records as
// dataclasses. Only the two calls are timed. Without python3 nothing is measured.
#include "../harness/python.hpp"
#include "problem.hpp"

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

void nested(bench::run& r) {
    auto const n = r.size(10'000, 1'000);
    double const seconds = bench::number_from_python(r, n, "N = " + std::to_string(n) + script);
    r.counter("record_ns", seconds * 1e9 / static_cast<double>(n));
}

bench::rival const rival{"pickle", {{coding::nested, nested}}};

}  // namespace

// SPDX-License-Identifier: BSL-1.0
// std::async: a thread for each worker's share, eight times as many for the uneven primes.
#include "chunks.hpp"

#include <future>

namespace {

template <class Solve>
void on_threads(bench::run& r, Solve solve) {
    auto const start = [](auto work) { return std::async(std::launch::async, work); };
    solve(loops::by_hand<decltype(start)>{start, r.workers()});
}

void cheap(bench::run& r) {
    on_threads(r, [&](auto const& by_hand) { by_hand.cheap(r); });
}
void collect(bench::run& r) {
    on_threads(r, [&](auto const& by_hand) { by_hand.collect(r); });
}
void axpy(bench::run& r) {
    on_threads(r, [&](auto const& by_hand) { by_hand.axpy(r); });
}
void primes(bench::run& r) {
    on_threads(r, [&](auto const& by_hand) { by_hand.primes(r); });
}

bench::rival const rival{"std_async",
                         {{loops::cheap, cheap},
                          {loops::collect, collect},
                          {loops::axpy, axpy},
                          {loops::primes, primes}}};

}  // namespace

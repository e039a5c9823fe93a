// SPDX-License-Identifier: BSL-1.0
// boost::asio::thread_pool: the loop cut into eight tasks by hand.
#include "chunks.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <future>

namespace {

template <class Solve>
void on_pool(bench::run& r, Solve solve) {
    boost::asio::thread_pool pool{r.workers()};
    auto const start = [&pool](auto work) {
        return boost::asio::post(pool, boost::asio::use_future(work));
    };
    solve(loops::by_hand<decltype(start)>{start, 8});
}

void cheap(bench::run& r) {
    on_pool(r, [&](auto const& by_hand) { by_hand.cheap(r); });
}
void collect(bench::run& r) {
    on_pool(r, [&](auto const& by_hand) { by_hand.collect(r); });
}
void axpy(bench::run& r) {
    on_pool(r, [&](auto const& by_hand) { by_hand.axpy(r); });
}
void primes(bench::run& r) {
    on_pool(r, [&](auto const& by_hand) { by_hand.primes(r); });
}

bench::rival const rival{"asio",
                         {{loops::cheap, cheap},
                          {loops::collect, collect},
                          {loops::axpy, axpy},
                          {loops::primes, primes}}};

}  // namespace

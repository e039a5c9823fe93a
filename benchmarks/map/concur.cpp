// SPDX-License-Identifier: BSL-1.0
// concur::thread_pool: for_each, map().collect() and map_reduce, one item per call and nothing
// tuned.
#include "problem.hpp"

#include <concur/thread_pool.hpp>

#include <functional>
#include <ranges>

namespace {

auto numbers(std::size_t n) {
    return std::views::iota(std::uint32_t{0}, static_cast<std::uint32_t>(n));
}

void cheap(bench::run& r) {
    concur::thread_pool pool{{.workers = r.workers()}};
    loops::measure_cheap(r, [&](auto& output) {
        pool.for_each([to = output.data()](std::uint32_t i) { to[i] = loops::mix32(i); },
                      numbers(output.size()));
    });
}

void collect(bench::run& r) {
    concur::thread_pool pool{{.workers = r.workers()}};
    loops::measure_collect(r, [&](std::size_t n) {
        return pool.map([](std::uint32_t i) { return loops::mix32(i); }, numbers(n)).collect();
    });
}

void axpy(bench::run& r) {
    concur::thread_pool pool{{.workers = r.workers()}};
    loops::measure_axpy(r, [&](std::vector<double> const& xs, std::vector<double>& ys) {
        pool.for_each([](double x, double& y) { y = loops::factor * x + y; }, xs, ys);
    });
}

void primes(bench::run& r) {
    concur::thread_pool pool{{.workers = r.workers()}};
    loops::measure_primes(r, [&](std::uint32_t limit) {
        auto const count = [](std::uint32_t i) { return std::size_t{loops::is_prime(i)}; };
        return pool.map_reduce(count, std::plus<>{}, numbers(limit), std::size_t{0});
    });
}

bench::rival const rival{"concur",
                         {{loops::cheap, cheap},
                          {loops::collect, collect},
                          {loops::axpy, axpy},
                          {loops::primes, primes}}};

}  // namespace

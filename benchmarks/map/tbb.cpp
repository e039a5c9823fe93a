// SPDX-License-Identifier: BSL-1.0
// oneTBB: parallel_for and parallel_reduce with the default partitioner.
#include "problem.hpp"

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/parallel_reduce.h>
#include <functional>

namespace {

namespace tbb = oneapi::tbb;
using range = tbb::blocked_range<std::size_t>;

struct threads {
    explicit threads(bench::run const& r)
        : limit{tbb::global_control::max_allowed_parallelism, r.workers()} {}
    tbb::global_control limit;
};

void hash_all(std::uint32_t* output, std::size_t n) {
    tbb::parallel_for(range{0, n}, [output](range const& part) {
        for (std::size_t i = part.begin(); i < part.end(); ++i)
            output[i] = loops::mix32(static_cast<std::uint32_t>(i));
    });
}

void cheap(bench::run& r) {
    threads const limit{r};
    loops::measure_cheap(r, [](auto& output) { hash_all(output.data(), output.size()); });
}

void collect(bench::run& r) {
    threads const limit{r};
    loops::measure_collect(r, [](std::size_t n) {
        std::vector<std::uint32_t> output(n);
        hash_all(output.data(), n);
        return output;
    });
}

void axpy(bench::run& r) {
    threads const limit{r};
    loops::measure_axpy(r, [](std::vector<double> const& xs, std::vector<double>& ys) {
        tbb::parallel_for(range{0, ys.size()}, [x = xs.data(), y = ys.data()](range const& part) {
            for (std::size_t i = part.begin(); i < part.end(); ++i)
                y[i] = loops::factor * x[i] + y[i];
        });
    });
}

void primes(bench::run& r) {
    threads const limit{r};
    loops::measure_primes(r, [](std::uint32_t up_to) {
        auto const count = [](range const& part, std::size_t found) {
            for (std::size_t i = part.begin(); i < part.end(); ++i)
                found += loops::is_prime(static_cast<std::uint32_t>(i));
            return found;
        };
        return tbb::parallel_reduce(range{0, up_to}, std::size_t{0}, count, std::plus<>{});
    });
}

bench::rival const rival{"tbb",
                         {{loops::cheap, cheap},
                          {loops::collect, collect},
                          {loops::axpy, axpy},
                          {loops::primes, primes}}};

}  // namespace

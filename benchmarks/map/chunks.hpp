// SPDX-License-Identifier: BSL-1.0
// Loops cut by hand, for rivals that have tasks and no loops.
#pragma once

#include "problem.hpp"

#include <atomic>

namespace loops {

/// `chunks` equal parts of 0 ... n-1; the last one ends at n.
template <class Part>
void cut(std::size_t n, std::size_t chunks, Part part) {
    for (std::size_t i = 0; i < chunks; ++i) part(n * i / chunks, n * (i + 1) / chunks);
}

/// All four problems on `start`, which starts a callable and gives a future of its result.
template <class Start>
struct by_hand {
    Start start;
    std::size_t chunks;

    template <class Work>
    void each_part(std::size_t n, std::size_t parts, Work work) const {
        std::vector<decltype(start([] {}))> futures;
        cut(n, parts, [&](std::size_t begin, std::size_t end) {
            futures.push_back(start([=] { work(begin, end); }));
        });
        for (auto& each : futures) each.get();
    }

    void hash_all(std::uint32_t* output, std::size_t n) const {
        each_part(n, chunks, [output](std::size_t begin, std::size_t end) {
            for (std::size_t i = begin; i < end; ++i)
                output[i] = mix32(static_cast<std::uint32_t>(i));
        });
    }

    void cheap(bench::run& r) const {
        measure_cheap(r, [this](auto& output) { hash_all(output.data(), output.size()); });
    }

    void collect(bench::run& r) const {
        measure_collect(r, [this](std::size_t n) {
            std::vector<std::uint32_t> output(n);
            hash_all(output.data(), n);
            return output;
        });
    }

    void axpy(bench::run& r) const {
        measure_axpy(r, [this](std::vector<double> const& xs, std::vector<double>& ys) {
            each_part(ys.size(), chunks,
                      [x = xs.data(), y = ys.data()](std::size_t begin, std::size_t end) {
                          for (std::size_t i = begin; i < end; ++i) y[i] = factor * x[i] + y[i];
                      });
        });
    }

    /// Eight times as many parts: the later numbers cost more.
    void primes(bench::run& r) const {
        measure_primes(r, [this](std::uint32_t limit) {
            std::atomic<std::size_t> found{0};
            each_part(limit, 8 * chunks, [&found](std::size_t begin, std::size_t end) {
                std::size_t here = 0;
                for (std::size_t i = begin; i < end; ++i)
                    here += is_prime(static_cast<std::uint32_t>(i));
                found += here;
            });
            return found.load();
        });
    }
};

}  // namespace loops

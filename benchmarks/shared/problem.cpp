// SPDX-License-Identifier: BSL-1.0
#include "problem.hpp"

#include <numeric>
#include <random>

namespace sharing {

double now_us() {
    return std::chrono::duration<double, std::micro>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

std::uint64_t sum(std::span<std::uint64_t const> values) {
    return std::accumulate(values.begin(), values.end(), std::uint64_t{0});
}

std::vector<std::uint8_t> const& graph_matrix() {
    static std::vector<std::uint8_t> const matrix = [] {
        std::vector<std::uint8_t> made(vertices * vertices, 0);
        std::mt19937 random{1};
        for (std::size_t i = 0; i < 2 * vertices; ++i) {
            auto const a = random() % vertices, b = random() % vertices;
            if (a != b) made[a * vertices + b] = made[b * vertices + a] = 1;
        }
        return made;
    }();
    return matrix;
}

int distance(std::span<std::uint8_t const> matrix, std::uint32_t from, std::uint32_t to) {
    if (from == to) return 0;
    std::vector<std::uint8_t> reached(vertices, 0), next;
    reached[from] = 1;
    for (int hops = 1;; ++hops) {
        next = reached;
        for (std::size_t row = 0; row < vertices; ++row) {
            if (reached[row] == 0) continue;
            auto const* const cells = matrix.data() + row * vertices;
            for (std::size_t i = 0; i < vertices; ++i) next[i] |= cells[i];
        }
        if (next[to] != 0) return hops;
        if (next == reached) return -1;
        reached.swap(next);
    }
}

std::uint32_t from_of(std::uint32_t i) { return i * 7919 % vertices; }
std::uint32_t to_of(std::uint32_t i) { return (i * 104729 + 1) % vertices; }

void check_distances(std::vector<int> const& found) {
    static std::vector<int> const truth = [&] {
        std::vector<int> all;
        for (std::uint32_t i = 0; i < found.size(); ++i) {
            all.push_back(distance(graph_matrix(), from_of(i), to_of(i)));
        }
        return all;
    }();
    bench::run::check(found == truth, "a wrong distance");
}

namespace {

using kind = bench::bar::kind;

bench::bars const required{
    {make, kind::absolute, 1000},
    {attach, kind::absolute, 1000},
    {handle, kind::time_ratio, 1.2, {"an_int"}},
    {stream, kind::time_ratio, 1.2, {"an_int"}},
    {graph, kind::time_ratio, 1.05, {"threads"}},
};

}  // namespace
}  // namespace sharing

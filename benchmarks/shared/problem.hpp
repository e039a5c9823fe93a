// SPDX-License-Identifier: BSL-1.0
// Memory that several processes see, beside copies of it, beside threads, and beside Python's
// multiprocessing.shared_memory.
#pragma once

#include "../harness.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace sharing {

inline constexpr std::size_t gigabyte = 1u << 30;

inline constexpr bench::problem make{"shared_make", "make an array of 1 GiB, and let it go", "us",
                                     "make_us"};
inline constexpr bench::problem attach{
    "shared_attach", "the first task of a worker that gets an array of 1 GiB, beyond one without",
    "us, median", "attach_us"};
inline constexpr bench::problem handle{"shared_handle",
                                       "a task that gets an array of 1 GiB: submit and get",
                                       "ns, median of 1000", "median_ns"};
inline constexpr bench::problem stream{
    "shared_stream", "the same, 1000 submits before the first get", "ns/task", "task_ns"};
inline constexpr bench::problem by_size[] = {
    {"shared_sum_1k", "a task that sums 1 KiB", "us, median", "median_us"},
    {"shared_sum_16k", "a task that sums 16 KiB", "us, median", "median_us"},
    {"shared_sum_256k", "a task that sums 256 KiB", "us, median", "median_us"},
    {"shared_sum_4m", "a task that sums 4 MiB", "us, median", "median_us"},
    {"shared_sum_64m", "a task that sums 64 MiB", "us, median", "median_us"}};
inline constexpr std::size_t sizes[] = {1u << 10, 1u << 14, 1u << 18, 1u << 22, 1u << 26};
inline constexpr bench::problem graph{"shared_graph", "200 distances in a graph of 2000 vertices",
                                      "ms", "graph_ms"};

[[nodiscard]] double now_us();
[[nodiscard]] std::uint64_t sum(std::span<std::uint64_t const> values);

inline constexpr std::size_t vertices = 2000;
[[nodiscard]] std::vector<std::uint8_t> const& graph_matrix();
/// Steps from one vertex to another, by products of a vector and the matrix.
[[nodiscard]] int distance(std::span<std::uint8_t const> matrix, std::uint32_t from,
                           std::uint32_t to);
/// Pair i of the problem.
[[nodiscard]] std::uint32_t from_of(std::uint32_t i);
[[nodiscard]] std::uint32_t to_of(std::uint32_t i);
void check_distances(std::vector<int> const& found);

}  // namespace sharing

// SPDX-License-Identifier: BSL-1.0
// Coroutines on one thread: spawning, awaiting, sleeping, echoing; and work handed to their loop
// from another thread.
#pragma once

#include "../harness.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace loops {

inline constexpr std::string_view figure = "ns_per_item";

inline constexpr bench::problem spawn{
    "spawn", "200,000 empty coroutines started on the loop, no future", "ns/task", figure};
inline constexpr bench::problem spawn_future{"spawn_future", "the same with a future each",
                                             "ns/task", figure};
inline constexpr bench::problem child{
    "child", "a coroutine that awaits a million others, one after the other", "ns/await", figure};
inline constexpr bench::problem turns{"turns", "100 coroutines that give way 10,000 times each",
                                      "ns/turn", figure};
inline constexpr bench::problem sleepers{
    "sleepers", "a million coroutines that sleep for 50 ms together", "ns/sleeper", figure};
inline constexpr bench::problem sleeper_memory{"sleeper_memory", "the same: resident bytes of each",
                                               "bytes", "bytes_per_item", true};
inline constexpr bench::problem sleepers_small{
    "sleepers_1e3", "a thousand coroutines that sleep for 50 ms together", "ns/sleeper", figure};
inline constexpr bench::problem sleepers_1e4{
    "sleepers_1e4", "ten thousand coroutines that sleep for 50 ms together", "ns/sleeper", figure};
inline constexpr bench::problem sleepers_1e5{"sleepers_1e5", "a hundred thousand of them",
                                             "ns/sleeper", figure};
inline constexpr bench::problem outside{
    "outside", "20,000 coroutines with futures, handed over by another thread", "ns/task", figure};
inline constexpr bench::problem echo_1{
    "echo_1", "TCP echo of 64 bytes, 100 connections, one request at a time", "ns/request", figure};
inline constexpr bench::problem echo_16{"echo_16", "the same, 16 requests at a time in one write",
                                        "ns/request", figure};

/// Times body() and says what an item costs.
template <class Body>
void measure(bench::run& r, std::size_t items, Body&& body) {
    r.measure(items, body);
    r.counter(std::string(figure), r.result().wall * 1e9 / static_cast<double>(items));
}

/// What the coroutines count themselves in.
inline std::atomic<std::uint64_t> counted{0};

[[nodiscard]] std::size_t resident_bytes();

/// The client of the echo problems: plain epoll on a thread of its own. Gives the seconds that
/// `rounds` rounds on each of 100 connections took.
[[nodiscard]] double echo_client(unsigned short port, std::size_t depth, std::size_t rounds);
inline constexpr std::size_t echo_connections = 100;
inline constexpr std::size_t echo_message = 64;

}  // namespace loops

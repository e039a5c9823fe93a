// SPDX-License-Identifier: BSL-1.0
// Plain Boost.Asio: awaitable<>, co_spawn, a timer for each sleeper, with deferred where that is
// faster than use_awaitable.
#include "problem.hpp"

#include <boost/asio.hpp>

#include <array>
#include <future>
#include <thread>
#include <vector>

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::ip::tcp;
using namespace std::chrono_literals;

awaitable<void> count_one() {
    loops::counted.fetch_add(1, std::memory_order_relaxed);
    co_return;
}
awaitable<int> one() { co_return 1; }

void expect(std::uint64_t n) {
    bench::run::check(loops::counted.exchange(0) == n, "a coroutine was lost");
}

void spawn(bench::run& r) {
    auto const n = r.size(200'000, 20'000);
    asio::io_context loop(1);
    loops::measure(r, n, [&] {
        asio::post(loop, [&] {
            for (std::size_t i = 0; i < n; ++i) asio::co_spawn(loop, count_one(), asio::detached);
        });
        loop.run();
    });
    expect(n);
}

void spawn_future(bench::run& r) {
    auto const n = r.size(200'000, 20'000);
    asio::io_context loop(1);
    loops::measure(r, n, [&] {
        std::vector<std::future<void>> futures;
        futures.reserve(n);
        asio::post(loop, [&] {
            for (std::size_t i = 0; i < n; ++i)
                futures.push_back(asio::co_spawn(loop, count_one(), asio::use_future));
        });
        loop.run();
        for (auto& f : futures) f.get();
    });
    expect(n);
}

awaitable<std::uint64_t> sum_of(std::size_t n) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += static_cast<std::uint64_t>(co_await one());
    co_return sum;
}
void child(bench::run& r) {
    auto const n = r.size(1'000'000, 100'000);
    asio::io_context loop(1);
    std::uint64_t sum = 0;
    loops::measure(r, n, [&] {
        auto f = asio::co_spawn(loop, sum_of(n), asio::use_future);
        loop.run();
        sum = f.get();
    });
    bench::run::check(sum == n, "not the sum");
}

awaitable<void> give_way(std::size_t times) {
    for (std::size_t i = 0; i < times; ++i) co_await asio::post(asio::deferred);
    loops::counted.fetch_add(1, std::memory_order_relaxed);
}
void turns(bench::run& r) {
    auto const n = r.size(10'000, 1'000);
    asio::io_context loop(1);
    loops::measure(r, 100 * n, [&] {
        for (int i = 0; i < 100; ++i) asio::co_spawn(loop, give_way(n), asio::detached);
        loop.run();
    });
    expect(100);
}

awaitable<void> sleeper(asio::io_context& loop, std::chrono::steady_clock::duration span) {
    asio::steady_timer timer(loop, span);
    co_await timer.async_wait(asio::deferred);
    loops::counted.fetch_add(1, std::memory_order_relaxed);
}
void sleep(bench::run& r, std::size_t n) {
    asio::io_context loop(1);
    loops::measure(r, n, [&] {
        asio::post(loop, [&] {
            for (std::size_t i = 0; i < n; ++i)
                asio::co_spawn(loop, sleeper(loop, 50ms), asio::detached);
        });
        loop.run();
    });
    expect(n);
}
void sleepers(bench::run& r) { sleep(r, r.size(1'000'000, 100'000)); }
void sleepers_small(bench::run& r) { sleep(r, 1000); }
void sleepers_1e4(bench::run& r) { sleep(r, 10'000); }
void sleepers_1e5(bench::run& r) { sleep(r, 100'000); }

void sleeper_memory(bench::run& r) {
    auto const n = r.size(1'000'000, 100'000);
    asio::io_context loop(1);
    auto const before = loops::resident_bytes();
    r.measure(n, [&] {
        for (std::size_t i = 0; i < n; ++i) asio::co_spawn(loop, sleeper(loop, 1h), asio::detached);
        loop.poll();
    });
    r.counter("bytes_per_item",
              static_cast<double>(loops::resident_bytes() - before) / static_cast<double>(n));
}

void outside(bench::run& r) {
    auto const n = r.size(20'000, 5'000);
    asio::io_context loop(1);
    auto const guard = asio::make_work_guard(loop);
    std::thread runner([&] { loop.run(); });
    loops::measure(r, n, [&] {
        std::vector<std::future<void>> futures;
        futures.reserve(n);
        for (std::size_t i = 0; i < n; ++i)
            futures.push_back(asio::co_spawn(loop, count_one(), asio::use_future));
        for (auto& f : futures) f.get();
    });
    loop.stop();
    runner.join();
    expect(n);
}

awaitable<void> serve(tcp::socket socket) {
    std::array<char, 4096> buffer;  // NOLINT: not to be zeroed
    try {
        for (;;) {
            auto const n = co_await socket.async_read_some(asio::buffer(buffer), asio::deferred);
            co_await asio::async_write(socket, asio::buffer(buffer.data(), n), asio::deferred);
        }
    } catch (boost::system::system_error const&) {
    }
}
awaitable<void> listen(asio::io_context& loop, tcp::acceptor& acceptor) {
    for (std::size_t i = 0; i < loops::echo_connections; ++i) {
        auto socket = co_await acceptor.async_accept(asio::deferred);
        socket.set_option(tcp::no_delay(true));
        asio::co_spawn(loop, serve(std::move(socket)), asio::detached);
    }
}
void echo(bench::run& r, std::size_t depth, std::size_t rounds) {
    asio::io_context loop(1);
    tcp::acceptor acceptor(loop, {asio::ip::address_v4::loopback(), 0});
    asio::co_spawn(loop, listen(loop, acceptor), asio::detached);
    std::thread runner([&] { loop.run(); });
    auto const requests = loops::echo_connections * depth * rounds;
    double wall = 0;
    r.measure(requests,
              [&] { wall = loops::echo_client(acceptor.local_endpoint().port(), depth, rounds); });
    r.counter(std::string(loops::figure), wall * 1e9 / static_cast<double>(requests));
    runner.join();
}
void echo_1(bench::run& r) { echo(r, 1, r.size(2'000, 200)); }
void echo_16(bench::run& r) { echo(r, 16, r.size(2'000, 200)); }

bench::rival const rival{"asio",
                         {{loops::spawn, spawn},
                          {loops::spawn_future, spawn_future},
                          {loops::child, child},
                          {loops::turns, turns},
                          {loops::sleepers, sleepers},
                          {loops::sleeper_memory, sleeper_memory},
                          {loops::sleepers_small, sleepers_small},
                          {loops::sleepers_1e4, sleepers_1e4},
                          {loops::sleepers_1e5, sleepers_1e5},
                          {loops::outside, outside},
                          {loops::echo_1, echo_1},
                          {loops::echo_16, echo_16}}};

}  // namespace

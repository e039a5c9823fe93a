// SPDX-License-Identifier: BSL-1.0
// concur::event_loop.
#include "problem.hpp"

#include <concur/event_loop.hpp>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <thread>
#include <vector>

namespace {

using concur::event_loop;
using concur::task;
namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

task<void> count_one() {
    loops::counted.fetch_add(1, std::memory_order_relaxed);
    co_return;
}
task<int> one() { co_return 1; }

void expect(std::uint64_t n) {
    bench::run::check(loops::counted.exchange(0) == n, "a coroutine was lost");
}

void spawn(bench::run& r) {
    auto const n = r.size(200'000, 20'000);
    event_loop loop;
    loops::measure(r, n, [&] {
        auto all = loop.submit([&] {
            for (std::size_t i = 0; i < n; ++i) loop.post(count_one);
        });
        all.get();
        loop.wait_idle();
    });
    expect(n);
}

void spawn_future(bench::run& r) {
    auto const n = r.size(200'000, 20'000);
    event_loop loop;
    auto const body = [&]() -> task<void> {
        std::vector<concur::future<void>> futures;
        futures.reserve(n);
        for (std::size_t i = 0; i < n; ++i) futures.push_back(loop.submit(count_one));
        for (auto& f : futures) co_await std::move(f);
    };
    loops::measure(r, n, [&] { loop.submit(body).get(); });
    expect(n);
}

task<std::uint64_t> sum_of(std::size_t n) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += static_cast<std::uint64_t>(co_await one());
    co_return sum;
}
void child(bench::run& r) {
    auto const n = r.size(1'000'000, 100'000);
    event_loop loop;
    std::uint64_t sum = 0;
    loops::measure(r, n, [&] { sum = loop.submit(sum_of, n).get(); });
    bench::run::check(sum == n, "not the sum");
}

task<void> give_way(std::size_t times) {
    for (std::size_t i = 0; i < times; ++i) co_await concur::yield();
    loops::counted.fetch_add(1, std::memory_order_relaxed);
}
void turns(bench::run& r) {
    auto const n = r.size(10'000, 1'000);
    event_loop loop;
    loops::measure(r, 100 * n, [&] {
        for (int i = 0; i < 100; ++i) loop.post(give_way, n);
        loop.wait_idle();
    });
    expect(100);
}

task<void> sleeper() {
    co_await concur::sleep_for(50ms);
    loops::counted.fetch_add(1, std::memory_order_relaxed);
}
void sleep(bench::run& r, std::size_t n) {
    event_loop loop;
    loops::measure(r, n, [&] {
        auto all = loop.submit([&] {
            for (std::size_t i = 0; i < n; ++i) loop.post(sleeper);
        });
        all.get();
        loop.wait_idle();
    });
    expect(n);
}
void sleepers(bench::run& r) { sleep(r, r.size(1'000'000, 100'000)); }
void sleepers_small(bench::run& r) { sleep(r, 1000); }
void sleepers_1e4(bench::run& r) { sleep(r, 10'000); }
void sleepers_1e5(bench::run& r) { sleep(r, 100'000); }

task<void> long_sleeper() { co_await concur::sleep_for(1h); }
void sleeper_memory(bench::run& r) {
    auto const n = r.size(1'000'000, 100'000);
    event_loop loop;
    auto const before = loops::resident_bytes();
    r.measure(n, [&] {
        loop.submit([&] {
                for (std::size_t i = 0; i < n; ++i) loop.post(long_sleeper);
            })
            .get();
        // Each has had its turn when one that came later has.
        loop.submit([] {}).get();
    });
    r.counter("bytes_per_item",
              static_cast<double>(loops::resident_bytes() - before) / static_cast<double>(n));
    loop.shutdown({.cancel_pending = true});
}

void outside(bench::run& r) {
    auto const n = r.size(20'000, 5'000);
    event_loop loop;
    loops::measure(r, n, [&] {
        std::vector<concur::future<void>> futures;
        futures.reserve(n);
        for (std::size_t i = 0; i < n; ++i) futures.push_back(loop.submit(count_one));
        for (auto& f : futures) f.get();
    });
    expect(n);
}

task<void> serve(tcp::socket socket) {
    std::array<char, 4096> buffer;  // NOLINT: not to be zeroed
    try {
        for (;;) {
            auto const n = co_await socket.async_read_some(asio::buffer(buffer), asio::deferred);
            co_await asio::async_write(socket, asio::buffer(buffer.data(), n), asio::deferred);
        }
    } catch (boost::system::system_error const&) {
    }
}
task<void> listen(event_loop& loop, tcp::acceptor& acceptor) {
    for (std::size_t i = 0; i < loops::echo_connections; ++i) {
        auto socket = co_await acceptor.async_accept(asio::deferred);
        socket.set_option(tcp::no_delay(true));
        loop.post(serve, std::move(socket));
    }
}
void echo(bench::run& r, std::size_t depth, std::size_t rounds) {
    event_loop loop;
    tcp::acceptor acceptor(loop.context(), {asio::ip::address_v4::loopback(), 0});
    loop.post(listen, std::ref(loop), std::ref(acceptor));
    auto const requests = loops::echo_connections * depth * rounds;
    double wall = 0;
    r.measure(requests,
              [&] { wall = loops::echo_client(acceptor.local_endpoint().port(), depth, rounds); });
    r.counter(std::string(loops::figure), wall * 1e9 / static_cast<double>(requests));
    loop.wait_idle();
}
void echo_1(bench::run& r) { echo(r, 1, r.size(2'000, 200)); }
void echo_16(bench::run& r) { echo(r, 16, r.size(2'000, 200)); }

bench::rival const rival{"concur",
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

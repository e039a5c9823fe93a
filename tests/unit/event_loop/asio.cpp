// SPDX-License-Identifier: BSL-1.0
// Asio inside the loop: operations with deferred, awaitables, what cancels them, what drops them.
#include "../../conformance/tools.hpp"
#include "../../conformance/watchdog.hpp"

#include <concur/event_loop.hpp>
#include <concur/thread_pool.hpp>

#include <doctest/doctest.h>
#include <boost/asio.hpp>

#include <array>
#include <string>
#include <tuple>

using namespace conformance;
using concur::event_loop;
using concur::task;
namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

task<std::string> echo_once(event_loop& loop) {
    tcp::acceptor acceptor(loop.context(), {asio::ip::address_v4::loopback(), 0});
    tcp::socket client(loop.context());
    auto connected = loop.submit([&]() -> task<void> {
        co_await client.async_connect(acceptor.local_endpoint(), asio::deferred);
        co_await asio::async_write(client, asio::buffer("hello", 5), asio::deferred);
    });
    tcp::socket server = co_await acceptor.async_accept(asio::deferred);
    std::array<char, 5> text{};
    const std::size_t n = co_await asio::async_read(server, asio::buffer(text), asio::deferred);
    co_await std::move(connected);
    co_return std::string(text.data(), n);
}

asio::awaitable<int> plain_asio(int x) {
    asio::steady_timer timer(co_await asio::this_coro::executor, 1ms);
    co_await timer.async_wait(asio::use_awaitable);
    co_return x + 1;
}
asio::awaitable<void> plain_asio_fails() {
    co_await asio::post(asio::use_awaitable);
    throw custom_error(4);
}
asio::awaitable<void> plain_asio_for_ever() {
    asio::steady_timer timer(co_await asio::this_coro::executor, 1h);
    co_await timer.async_wait(asio::use_awaitable);
}
task<void> timer_for_ever(event_loop& loop) {
    asio::steady_timer timer(loop.context(), 1h);
    co_await timer.async_wait(asio::deferred);
}

/// An operation that keeps its handler where the test can get at it.
template <class Keep>
auto async_kept(Keep keep) {
    return asio::async_initiate<const asio::deferred_t, void(int, std::string)>(
        [keep](auto handler) { keep(std::move(handler)); }, asio::deferred);
}

}  // namespace

TEST_CASE("asio: sockets, with deferred") {
    const watchdog guard;
    event_loop loop;
    CHECK(loop.submit(echo_once, std::ref(loop)).get() == "hello");
}

TEST_CASE("asio: errors are system_error, as in Asio") {
    const watchdog guard;
    event_loop loop;
    auto f = loop.submit([&]() -> task<void> {
        tcp::socket socket(loop.context());
        std::array<char, 4> buffer{};
        co_await socket.async_read_some(asio::buffer(buffer), asio::deferred);
    });
    CHECK_THROWS_AS(f.get(), boost::system::system_error);
}

TEST_CASE("asio: a peer that hangs up ends reads and writes with an error") {
    const watchdog guard;
    event_loop loop;
    auto f = loop.submit([&]() -> task<int> {
        tcp::acceptor acceptor(loop.context(), {asio::ip::address_v4::loopback(), 0});
        int ends = 0;
        for (const bool reset : {false, true}) {
            tcp::socket client(loop.context());
            const auto connect = [&]() -> task<void> {
                co_await client.async_connect(acceptor.local_endpoint(), asio::deferred);
            };
            auto connected = loop.submit(connect);
            tcp::socket server = co_await acceptor.async_accept(asio::deferred);
            co_await std::move(connected);
            const auto hang_up = [&]() -> task<void> {
                co_await concur::yield();
                if (reset) client.set_option(asio::socket_base::linger(true, 0));
                client.close();
            };
            auto gone = loop.submit(hang_up);
            std::array<char, 64> buffer{};
            try {
                co_await asio::async_read(server, asio::buffer(buffer), asio::deferred);
            } catch (const boost::system::system_error& e) {
                ends += reset ? e.code() == asio::error::connection_reset
                              : e.code() == asio::error::eof;
            }
            co_await std::move(gone);
            try {  // what is sent after the end of the peer is refused sooner or later
                for (;;) co_await asio::async_write(server, asio::buffer(buffer), asio::deferred);
            } catch (const boost::system::system_error&) {
                ends += 10;
            }
        }
        co_return ends;
    });
    CHECK(f.get() == 22);
}

TEST_CASE("asio: awaitables are submitted and awaited") {
    const watchdog guard;
    event_loop loop;
    CHECK(loop.submit(plain_asio, 4).get() == 5);
    CHECK_THROWS_AS(loop.submit(plain_asio_fails).get(), custom_error);
    auto f = loop.submit([]() -> task<int> {
        const int x = co_await plain_asio(1);
        try {
            co_await plain_asio_fails();
        } catch (const custom_error& e) {
            co_return x + e.number;
        }
        co_return 0;
    });
    CHECK(f.get() == 6);
}

TEST_CASE("asio: request_stop cancels the operation under way") {
    const watchdog guard;
    event_loop loop;
    auto a = loop.submit(timer_for_ever, std::ref(loop));
    auto b = loop.submit(plain_asio_for_ever);
    eventually([&] { return a.running() && b.running(); });
    a.request_stop();
    b.request_stop();
    CHECK_THROWS_AS(a.get(), concur::task_cancelled);
    CHECK_THROWS_AS(b.get(), concur::task_cancelled);
}

TEST_CASE("asio: several values, completion inside the initiation, from another thread, dropped") {
    const watchdog guard;
    event_loop loop;
    auto now = loop.submit([]() -> task<std::string> {
        auto operation = async_kept([](auto handler) { std::move(handler)(2, "now"); });
        auto [n, text] = co_await std::move(operation);
        co_return text + std::to_string(n);
    });
    CHECK(now.get() == "now2");
    concur::thread_pool pool(1);
    auto later = loop.submit([&]() -> task<std::string> {
        auto operation = async_kept([&pool](auto handler) {
            pool.post([h = std::move(handler)]() mutable { std::move(h)(3, "later"); });
        });
        auto [n, text] = co_await std::move(operation);
        co_return text + std::to_string(n);
    });
    CHECK(later.get() == "later3");
    auto never = loop.submit([]() -> task<int> {
        auto operation = async_kept([](auto handler) { auto dropped = std::move(handler); });
        auto [n, text] = co_await std::move(operation);
        co_return n;
    });
    CHECK_THROWS_AS(never.get(), boost::system::system_error);
}

TEST_CASE("asio: what a handler of the user's own throws is reported, and the loop goes on") {
    const watchdog guard;
    error_log log;
    event_loop loop({.on_error = std::ref(log)});
    asio::post(loop.context(), [] { throw custom_error(1); });
    eventually([&] { return !log.texts().empty(); });
    CHECK(log.texts() == std::vector<std::string>{"custom 1"});
    loop.context().stop();
    CHECK(loop.submit([] { return 2; }).get() == 2);
}

TEST_CASE("asio: a loop that ends with operations under way") {
    const watchdog guard;
    concur::future<void> f;
    {
        event_loop loop;
        f = loop.submit(timer_for_ever, std::ref(loop));
        eventually([&] { return f.running(); });
        loop.shutdown({.cancel_pending = true});
    }
    CHECK_THROWS_AS(f.get(), concur::task_cancelled);
}

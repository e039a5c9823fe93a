// SPDX-License-Identifier: BSL-1.0
// Asio inside the loop: operations with deferred, awaitables, what cancels them, what drops them.
#include "../../conformance/tools.hpp"
#include "../../conformance/watchdog.hpp"

#include <concur/event_loop.hpp>
#include <concur/thread_pool.hpp>

#include <doctest/doctest.h>
#include <boost/asio.hpp>

#include <array>
#include <atomic>
#include <functional>
#include <string>
#include <tuple>
#include <vector>

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

TEST_CASE("asio: handlers and tasks do not keep each other from their turns") {
    const watchdog guard;
    event_loop loop;
    std::atomic<bool> enough = false;
    std::atomic<int> handlers = 0;
    std::function<void()> again = [&] {
        ++handlers;
        if (!enough) asio::post(loop.context(), again);
    };
    asio::post(loop.context(), again);
    CHECK(loop.submit([] { return 1; }).get() == 1);  // though there is always a handler
    auto busy = loop.submit([&]() -> task<void> {
        while (!enough) co_await concur::yield();
    });
    const int before = handlers;
    eventually([&] { return handlers > before + 1000; });  // though there is always a coroutine
    enough = true;
    busy.get();
    auto last = loop.submit([] {});
    last.get();
}

TEST_CASE("asio: what a handler resumes goes on, ends, and wakes others") {
    const watchdog guard;
    event_loop loop;
    concur::async_event turned;
    auto waits = loop.submit([&]() -> task<int> {
        co_await turned.wait();
        co_return 1;
    });
    const auto after_post = [&]() -> task<void> {
        co_await asio::post(loop.context(), asio::deferred);
        turned.set();
    };
    loop.post(after_post);
    CHECK(waits.get() == 1);
    // It ends in a handler, after nothing else: whoever waits for that is told all the same.
    const auto ends_in_handler = [&]() -> task<void> {
        asio::steady_timer timer(loop.context(), 1ms);
        co_await timer.async_wait(asio::deferred);
    };
    loop.post(ends_in_handler);
    loop.wait_idle();
    CHECK(loop.stats().completed == 3);
    loop.post(ends_in_handler);
    loop.shutdown();
    CHECK(loop.stats().completed == 4);
}

TEST_CASE("asio: a blocking wait inside of a handler sees what that handler has posted") {
    const watchdog guard;
    event_loop loop;
    concur::async_event posted;
    int started = 0;
    int ended = 0;
    const auto item = [&](int) -> task<void> {
        ++started;
        try {
            co_await concur::sleep_for(1h);
        } catch (const concur::task_cancelled&) {
            ++ended;
        }
        co_await posted.wait();
        ++ended;
    };
    auto f = loop.submit([&]() -> task<int> {
        const std::vector<int> items{1, 2};
        {
            auto results = loop.map(item, items);
            while (started < 2) co_await concur::yield();
            co_await asio::post(loop.context(), asio::deferred);
            asio::post(loop.context(), [&] { posted.set(); });
        }  // waits for both
        co_return ended;
    });
    CHECK(f.get() == 4);
    CHECK(loop.submit([] { return 2; }).get() == 2);
}

TEST_CASE("asio: and what the coroutines post that run while it waits") {
    const watchdog guard;
    event_loop loop;
    int started = 0;
    int ended = 0;
    const auto item = [&](int) -> task<void> {
        ++started;
        bool cancelled = false;
        try {
            co_await concur::sleep_for(1h);
        } catch (const concur::task_cancelled&) {
            cancelled = true;
        }
        if (!cancelled) co_return;
        for (int i = 0; i != 3; ++i) co_await asio::post(loop.context(), asio::deferred);
        ++ended;
    };
    auto f = loop.submit([&]() -> task<int> {
        const std::vector<int> items{1, 2};
        {
            auto results = loop.map(item, items);
            while (started < 2) co_await concur::yield();
            co_await asio::post(loop.context(), asio::deferred);
        }  // waits for both, in a handler
        co_return ended;
    });
    CHECK(f.get() == 2);
}

TEST_CASE("asio: the user's stop() is survived, asleep, busy and at the end") {
    const watchdog guard;
    event_loop loop;
    auto f = loop.submit([&]() -> task<int> {
        asio::steady_timer timer(loop.context(), 50ms);
        co_await timer.async_wait(asio::deferred);
        co_return 1;
    });
    eventually([&] { return f.running(); });
    loop.context().stop();
    loop.shutdown({.wait = false});
    loop.context().stop();
    CHECK(f.get() == 1);
    loop.shutdown();
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

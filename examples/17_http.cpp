// SPDX-License-Identifier: BSL-1.0
// An HTTP server and a client in plain Asio, inside the loop: sockets stay what they are, concur
// adds the tasks around them, time limits, and a scope that ends them all.

#include <concur/event_loop.hpp>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <chrono>
#include <cstdio>
#include <string>

using namespace std::chrono_literals;
using concur::task;
using concur::task_group;
namespace asio = boost::asio;
using asio::ip::tcp;

// GET /<milliseconds> is answered after that time.
task<void> serve(tcp::socket socket) {
    std::string request;
    auto const end = co_await asio::async_read_until(socket, asio::dynamic_buffer(request),
                                                     "\r\n\r\n", asio::deferred);
    request.resize(end);
    int const delay = std::stoi(request.substr(request.find('/') + 1));
    co_await concur::sleep_for(std::chrono::milliseconds(delay));
    auto const body = "waited " + std::to_string(delay) + " ms";
    auto const answer =
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) +
        "\r\n\r\n" + body;
    co_await asio::async_write(socket, asio::buffer(answer), asio::deferred);
}

// One client that hangs up must not end the server.
task<void> serve_safely(tcp::socket socket) {
    try {
        co_await serve(std::move(socket));
    } catch (boost::system::system_error const& problem) {
        std::fprintf(stderr, "server: %s\n", problem.what());
    }
}

task<void> accept_all(task_group& group, tcp::acceptor& acceptor) {
    for (;;) {
        auto socket = co_await acceptor.async_accept(asio::deferred);
        group.start(serve_safely, std::move(socket));
    }
}

task<std::string> get(asio::io_context& context, tcp::endpoint server, int delay) {
    tcp::socket socket(context);
    co_await socket.async_connect(server, asio::deferred);
    auto const request = "GET /" + std::to_string(delay) + " HTTP/1.1\r\nHost: here\r\n\r\n";
    co_await asio::async_write(socket, asio::buffer(request), asio::deferred);
    std::string answer;
    try {
        co_await asio::async_read(socket, asio::dynamic_buffer(answer), asio::deferred);
    } catch (boost::system::system_error const& problem) {
        if (problem.code() != asio::error::eof) throw;
    }
    co_return answer.substr(answer.find("\r\n\r\n") + 4);
}

task<void> program(concur::event_loop& loop) {
    tcp::acceptor acceptor(loop.context(), {asio::ip::address_v4::loopback(), 0});
    auto const server = acceptor.local_endpoint();
    auto const scope = [&](task_group& group) -> task<void> {
        group.start(accept_all, std::ref(group), std::ref(acceptor));
        auto& context = loop.context();
        auto [a, b, c] = co_await concur::when_all(
            get(context, server, 30), get(context, server, 10), get(context, server, 20));
        std::printf("%s, %s, %s\n", a.c_str(), b.c_str(), c.c_str());
        try {
            co_await concur::with_timeout(20ms, get(context, server, 60'000));
        } catch (concur::timeout_error const&) {
            std::printf("no answer in 20 ms\n");
        }
        group.cancel();  // the server too
    };
    co_await concur::with_task_group(scope);
    std::printf("the server has ended\n");
}

int main() { concur::run(program); }

// Output:
// waited 30 ms, waited 10 ms, waited 20 ms
// no answer in 20 ms
// the server has ended

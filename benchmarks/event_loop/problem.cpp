// SPDX-License-Identifier: BSL-1.0
#include "problem.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <fstream>

namespace loops {

std::size_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    std::size_t total = 0;
    std::size_t resident = 0;
    file >> total >> resident;
    return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

double echo_client(unsigned short port, std::size_t depth, std::size_t rounds) {
    struct connection {
        int socket = -1;
        std::size_t received = 0;
        std::size_t rounds = 0;
    };
    std::array<connection, echo_connections> all;
    int const poller = epoll_create1(0);
    std::vector<char> const message(depth * echo_message, 'x');
    std::vector<char> buffer(message.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
        all[i].socket = socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto const* const plain = reinterpret_cast<sockaddr const*>(&address);
        bench::run::check(connect(all[i].socket, plain, sizeof address) == 0, "no connection");
        int const one = 1;
        setsockopt(all[i].socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        epoll_event interest{EPOLLIN, {}};
        interest.data.u64 = i;
        epoll_ctl(poller, EPOLL_CTL_ADD, all[i].socket, &interest);
    }
    auto const send_round = [&](connection const& c) {
        bench::run::check(
            write(c.socket, message.data(), message.size()) == static_cast<ssize_t>(message.size()),
            "short write");
    };
    auto const start = std::chrono::steady_clock::now();
    for (auto const& c : all) send_round(c);
    std::array<epoll_event, 128> events{};
    for (std::size_t open = all.size(); open > 0;) {
        int const n = epoll_wait(poller, events.data(), static_cast<int>(events.size()), -1);
        for (int e = 0; e < n; ++e) {
            auto& c = all[events[static_cast<std::size_t>(e)].data.u64];
            auto const got = read(c.socket, buffer.data(), buffer.size());
            bench::run::check(got > 0, "the server hung up");
            c.received += static_cast<std::size_t>(got);
            if (c.received < message.size()) continue;
            c.received = 0;
            if (++c.rounds == rounds) {
                --open;
            } else {
                send_round(c);
            }
        }
    }
    std::chrono::duration<double> const wall = std::chrono::steady_clock::now() - start;
    for (auto const& c : all) close(c.socket);
    close(poller);
    return wall.count();
}

namespace {

using kind = bench::bar::kind;

bench::bars const required{
    {spawn, kind::time_ratio, 1 / 1.8, {"asio"}},
    {spawn_future, kind::time_ratio, 1 / 1.5, {"asio"}},
    {child, kind::time_ratio, 1 / 0.85, {"asio"}},
    {turns, kind::time_ratio, 1 / 1.2, {"asio"}},
    {sleepers, kind::time_ratio, 0.5, {"asio"}},
    {sleepers, kind::time_ratio, 1 / 40.0, {"asyncio"}},
    {sleeper_memory, kind::absolute, 400, {}, "bytes_per_item"},
    {outside, kind::time_ratio, 0.1, {"asyncio"}},
    {echo_16, kind::time_ratio, 1 / 0.97, {"asio"}},
};

}  // namespace
}  // namespace loops

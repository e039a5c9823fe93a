// SPDX-License-Identifier: BSL-1.0
// One repetition in a fresh process: memory that earlier rivals freed, and threads that they left,
// cannot hide anything.
#include "registry.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <sstream>
#include <system_error>

extern char** environ;

namespace bench {
namespace {

using namespace std::chrono_literals;

struct child {
    pid_t pid = -1;
    int output = -1;
};

child start(std::string const& name, std::size_t workers, bool quick) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        throw std::system_error{errno, std::generic_category(), "pipe2"};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    std::vector<std::string> words{"benchmark", "--child=" + name,
                                   fmt::format("--workers={}", workers)};
    if (quick) words.emplace_back("--quick");
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    child made{.output = ends[0]};
    int const error =
        posix_spawn(&made.pid, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (error != 0) throw std::system_error{error, std::generic_category(), "posix_spawn"};
    return made;
}

/// All that the child prints. A child that hangs is a wrong result, not a benchmark that never
/// ends.
std::string read_all(child const& from, std::chrono::seconds limit) {
    auto const end = std::chrono::steady_clock::now() + limit;
    std::string text;
    for (char buffer[4096];;) {
        auto const left = std::chrono::duration_cast<std::chrono::milliseconds>(
            end - std::chrono::steady_clock::now());
        pollfd ready{.fd = from.output, .events = POLLIN, .revents = 0};
        int const polled = left > 0ms ? poll(&ready, 1, static_cast<int>(left.count())) : 0;
        if (polled < 0 && errno == EINTR) continue;
        if (polled <= 0) {
            kill(from.pid, SIGKILL);
            waitpid(from.pid, nullptr, 0);
            throw wrong_result{fmt::format("no result within {} s", limit.count())};
        }
        auto const got = read(from.output, buffer, sizeof buffer);
        if (got > 0)
            text.append(buffer, static_cast<std::size_t>(got));
        else if (got == 0 || errno != EINTR)
            return text;
    }
}

}  // namespace

sample run_isolated(entry const& who, std::size_t workers, bool quick) {
    child const made = start(who.name(), workers, quick);
    std::string const text = read_all(made, 120s);
    close(made.output);
    int status = 0;
    waitpid(made.pid, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        throw wrong_result{"the process of its own failed"};
    std::istringstream lines{text};
    sample result;
    lines >> result.wall >> result.cpu >> result.items;
    std::string name;
    for (double value = 0; lines >> name >> value;) result.extra[name] = value;
    return result;
}

void print_sample(sample const& s) {
    fmt::print("{} {} {}\n", s.wall, s.cpu, s.items);
    for (auto const& [name, value] : s.extra) fmt::print("{} {}\n", name, value);
}

}  // namespace bench

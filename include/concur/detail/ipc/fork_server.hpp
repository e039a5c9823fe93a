// SPDX-License-Identifier: BSL-1.0
// The user's side of the fork server: one per program, started when first needed, started again
// when it died. Any thread. Cost: one posix_spawn, whatever the size of this process.
#pragma once

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <concur/detail/base/config.hpp>
#include <concur/detail/base/linux.hpp>
#include <concur/detail/base/linux_ipc.hpp>
#include <concur/detail/base/linux_process.hpp>
#include <concur/detail/base/text.hpp>
#include <concur/detail/ipc/entry.hpp>
#include <concur/detail/ipc/worker_life.hpp>
#include <concur/error.hpp>

namespace concur::inline v0::detail {

inline constexpr char depth_variable[] = "CONCUR_DEPTH";
inline constexpr int max_pool_depth = 10;

/// How many pools this process stands in, as a worker.
inline int pool_depth() noexcept {
    char const* const value = std::getenv(depth_variable);
    return value ? std::atoi(value) : 0;
}

/// The environment of workers: ours, one pool deeper, with as many threads for each library that
/// asks as workers leave CPUs - unless the user has said how many.
class child_environment {
public:
    explicit child_environment(std::size_t threads) {
        keep_ours();
        for (char const* const name :
             {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS",
              "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"}) {
            if (!std::getenv(name)) own_.push_back(text("%s=%zu", name, threads));
        }
        own_.push_back(text("%s=%d", depth_variable, pool_depth() + 1));
    }

    void add(std::string variable) { own_.push_back(std::move(variable)); }

    char** get() {
        all_ = ours_;
        for (auto& variable : own_) all_.push_back(variable.data());
        all_.push_back(nullptr);
        return all_.data();
    }

private:
    void keep_ours() {
        for (char** at = environ; at && *at; ++at) {
            std::string_view const variable = *at;
            auto const name = variable.substr(0, variable.find('='));
            if (name != depth_variable && name != entry_variable) ours_.push_back(*at);
        }
    }

    std::vector<char*> ours_, all_;
    std::vector<std::string> own_;
};

/// Why a packet did not get through, see limit_sends().
[[gnu::cold]] inline std::string send_error_text(int error) {
    return error == EAGAIN ? std::string("it has taken nothing for 5 s") : errno_text(error);
}

/// How a process ended, from its wait status.
[[gnu::cold]] inline std::string ending_text(int status) {
    if (WIFSIGNALED(status)) return text("was killed by signal %d", WTERMSIG(status));
    return text("ended with exit code %d", WEXITSTATUS(status));
}

// Protocol [server] - under `mutex`: socket and process are those of one server, or both empty.
// Who       any thread, between taking and giving the mutex; no answer is waited for under it.
// Fork      a child of the user's has a server of its own: what stands here belongs to the parent
//           and is left alone, mutex included.
// Death     of the server: its nurseries live on; the next order finds the socket at its end and
//           starts another. Of the user's process: the server sees it and exits.
class fork_server {
public:
    /// The one of this process.
    static fork_server& get() {
        auto& current = the_one();
        auto* server = current.load(std::memory_order_acquire);  // [server] with the exchange
        while (!server || forked_since(server->generation_)) {
            auto* const fresh = new fork_server;
            if (current.compare_exchange_strong(server, fresh)) return *fresh;
            delete fresh;
        }
        return *server;
    }

    /// Sends an order to a living server whose libraries use `threads` threads each. Returns its
    /// pid. Throws broken_executor when none can be started.
    pid_t send(nursery_order const& order, int const* fds, std::size_t count, std::size_t threads) {
        std::lock_guard const lock(mutex_);
        if (socket_ && threads_ != threads) retire();
        for (int attempt = 0;; ++attempt) {
            if (!socket_) start(threads);
            int const error = send_packet(socket_.get(), &order, sizeof order, fds, count);
            if (error == 0) return pid_;
            if (attempt != 0 || (error != EPIPE && error != ECONNRESET)) {
                throw broken_executor(
                    text("the fork server cannot be reached: %s", send_error_text(error).c_str()));
            }
            auto const served = served_;
            auto const pid = pid_;
            auto const how = bury();
            if (!served) throw never_served(how);
            warn(pid, how);
        }
    }

    /// A nursery of this server has said hello.
    void has_served(pid_t server) noexcept {
        std::lock_guard const lock(mutex_);
        if (pid_ == server) served_ = true;
    }

    /// A nursery's socket has come to its end before hello. Returns when another try makes sense:
    /// the server has died after good service. Throws broken_executor otherwise.
    void check_death(pid_t server) {
        std::lock_guard const lock(mutex_);
        if (server == 0 || pid_ != server) return;  // another thread has seen it and buried it
        pollfd watched{socket_.get(), POLLIN, 0};
        if (poll(&watched, 1, 0) == 0) {
            throw broken_executor("the parent process of the workers died before it had started");
        }
        auto const served = served_;
        auto const how = bury();
        if (!served) throw never_served(how);
        warn(server, how);
    }

    /// It does not answer: it is ended. (What it started before lives on.)
    void give_up(pid_t server) noexcept {
        std::lock_guard const lock(mutex_);
        if (server == 0 || pid_ != server) return;
        kill_it();
        bury();
    }

    /// For tests. 0: there is none.
    pid_t pid() noexcept {
        std::lock_guard const lock(mutex_);
        return pid_;
    }

private:
    fork_server() : generation_(fork_generation()) {}

    static std::atomic<fork_server*>& the_one() noexcept;

    static broken_executor never_served(std::string const& how) {
        return broken_executor(
            text("worker processes cannot be started: the copy of this program that should make "
                 "them %s before it reached main; start_method::fork needs no such copy",
                 how.c_str()));
    }

    static void warn(pid_t pid, std::string const& how) {
        std::fprintf(stderr, "concur: the fork server (pid %d) %s; another one is started\n", pid,
                     how.c_str());
    }

    void start(std::size_t threads) {
        child_environment environment(threads);
        environment.add(text("%s=server %llx %d", entry_variable,
                             static_cast<unsigned long long>(nursery_magic), getpid()));
        unique_fd ours, theirs;
        int error = make_packet_pair(ours, theirs) ? 0 : errno;
        pid_t pid = 0;
        int const passed[] = {theirs.get()};
        if (error == 0) error = spawn_self(pid, environment.get(), passed);
        if (error != 0) {
            throw broken_executor(
                text("worker processes cannot be started: the fork server could "
                     "not be: %s",
                     errno_text(error).c_str()));
        }
        limit_sends(ours.get(), 5);
        process_ = open_pidfd(pid);
        socket_ = std::move(ours);
        pid_ = pid;
        threads_ = threads;
        served_ = false;
    }

    /// An idle server ends when its socket does.
    void retire() {
        shutdown(socket_.get(), SHUT_WR);  // also when a child of the user's holds a copy
        bury();
    }

    void kill_it() noexcept {
        if (process_)
            send_signal(process_, SIGKILL);
        else
            ::kill(pid_, SIGKILL);
    }

    /// Waits for the end of the server, which is dead or dying (or is no server, but went on).
    std::string bury() {
        int status = 0;
        auto const deadline = deadline_after(std::chrono::seconds(1));
        if (!process_ || !wait_readable(process_.get(), deadline)) kill_it();
        bool const known = wait_for_child(pid_, status);
        socket_.reset();
        process_.reset();
        pid_ = 0;
        return known ? ending_text(status) : std::string("ended");
    }

    std::mutex mutex_;
    std::uint32_t generation_;
    unique_fd socket_;
    unique_fd process_;
    pid_t pid_ = 0;
    std::size_t threads_ = 0;
    bool served_ = false;
};

// Never destroyed: pools with static storage may outlive every other static object.
CONCUR_API inline std::atomic<fork_server*> current_fork_server{nullptr};

inline std::atomic<fork_server*>& fork_server::the_one() noexcept { return current_fork_server; }

}  // namespace concur::inline v0::detail

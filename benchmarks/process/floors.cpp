// SPDX-License-Identifier: BSL-1.0
// What the machine itself takes: two processes that only answer each other, by polling or by futex;
// one program start and two small forks; a pidfd; a memcpy.
#include "problem.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

extern char** environ;

namespace {

using namespace processes;

// ---- two processes that share a page

/// A message of 64 bytes; who answers another one adds its number to it.
struct alignas(64) message {
    std::atomic<std::uint32_t> number{0};
    std::uint64_t payload[7] = {};
};
struct page {
    message there;
    message back;
};

void futex(std::atomic<std::uint32_t>& word, int what, std::uint32_t value) {
    syscall(SYS_futex, &word, what, value, nullptr, nullptr, 0);
}

template <bool Sleeps>
void await(message& from, std::uint32_t number) {
    while (from.number.load(std::memory_order_acquire) != number) {
        if constexpr (Sleeps) {
            futex(from.number, FUTEX_WAIT, number - 1);
        } else {
            __builtin_ia32_pause();
        }
    }
}

template <bool Sleeps>
void send(message& to, std::uint32_t number, std::uint64_t const* payload) {
    std::memcpy(to.payload, payload, sizeof to.payload);
    to.number.store(number, std::memory_order_release);
    if constexpr (Sleeps) futex(to.number, FUTEX_WAKE, 1);
}

/// Forks the other side; `measure` gets the trip.
template <bool Sleeps, class Measure>
void ping_pong(std::size_t its_cpu, Measure measure) {
    void* const memory =
        mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bench::run::check(memory != MAP_FAILED, "no memory");
    auto& shared = *new (memory) page;
    pid_t const child = fork();
    bench::run::check(child >= 0, "fork failed");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(its_cpu);
        for (std::uint32_t number = 1;; ++number) {
            await<Sleeps>(shared.there, number);
            send<Sleeps>(shared.back, number, shared.there.payload);
        }
    }
    pin(0);
    std::uint32_t number = 0;
    measure([&](std::uint64_t i) {
        std::uint64_t const payload[7] = {i};
        send<Sleeps>(shared.there, ++number, payload);
        await<Sleeps>(shared.back, number);
        return shared.back.payload[0];
    });
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    munmap(memory, 4096);
}

void spin_hot(bench::run& r) {
    ping_pong<false>(1, [&](auto trip) { measure_hot(r, trip); });
}
void futex_2(bench::run& r) {
    ping_pong<true>(1, [&](auto trip) { measure_blocked(r, trip); });
}
void futex_1(bench::run& r) {
    ping_pong<true>(0, [&](auto trip) { measure_blocked(r, trip); });
}

// ---- one program start and two forks

constexpr char const* start_variable = "CONCUR_BENCH_START";

/// The spawned copy never reaches main: it forks twice, and each child says one byte.
bool const spawned_copy = [] {
    char const* const value = std::getenv(start_variable);
    if (value == nullptr) return false;
    int const out = std::atoi(value);
    for (int i = 0; i < 2; ++i)
        if (fork() == 0) _exit(write(out, "x", 1) == 1 ? 0 : 1);
    while (wait(nullptr) > 0) continue;
    _exit(0);
}();

void start(bench::run& r, std::size_t bytes) {
    bench::run::check(!spawned_copy, "this is a spawned copy");
    ballast const full{bytes};
    int ends[2];
    bench::run::check(pipe(ends) == 0, "no pipe");
    setenv(start_variable, std::to_string(ends[1]).c_str(), 1);
    pid_t child = -1;
    r.measure(1, [&] {
        char name[] = "copy";
        char* argv[] = {name, nullptr};
        bool const made =
            posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, argv, environ) == 0;
        bench::run::check(made, "posix_spawn failed");
        char heard = 0;
        for (int i = 0; i < 2; ++i) bench::run::check(read(ends[0], &heard, 1) == 1, "no answer");
    });
    unsetenv(start_variable);
    waitpid(child, nullptr, 0);
    close(ends[0]);
    close(ends[1]);
    r.counter("start_us", r.result().wall * 1e6);
}
void start_10mb(bench::run& r) { start(r, small_ballast); }
void start_big(bench::run& r) { start(r, large_ballast); }

// ---- deaths, seen by pidfd: after the memory is gone

void death(bench::run& r, bool of_2gb) {
    std::size_t const n = deaths(r, of_2gb);
    std::vector<double> taken;
    r.measure(n, [&] {
        for (std::size_t i = 0; i < n; ++i) {
            int ends[2];
            bench::run::check(pipe(ends) == 0, "no pipe");
            pid_t const child = fork();
            if (child == 0) {
                ballast const full{of_2gb ? large_ballast : std::size_t{4096}};
                if (write(ends[1], "x", 1) != 1) _exit(1);
                for (;;) pause();
            }
            char ready = 0;
            bench::run::check(read(ends[0], &ready, 1) == 1, "no child");
            pollfd watched{static_cast<int>(syscall(434, child, 0u)), POLLIN, 0};
            double const begin = now_ns();
            kill(child, SIGKILL);
            bench::run::check(poll(&watched, 1, -1) == 1, "no death");
            taken.push_back(now_ns() - begin);
            waitpid(child, nullptr, 0);
            for (int const fd : {watched.fd, ends[0], ends[1]}) close(fd);
        }
    });
    report_deaths(r, taken);
}
void death_of_small(bench::run& r) { death(r, false); }
void death_of_2gb(bench::run& r) { death(r, true); }

// ---- a warm memcpy

void copy(bench::run& r) {
    std::vector<double> const from(large_doubles, 1.0);
    std::vector<double> to(large_doubles, 2.0);
    std::vector<double> taken;
    r.measure(large_rounds, [&] {
        for (std::size_t i = 0; i <= large_rounds; ++i) {
            double const begin = now_ns();
            std::memcpy(to.data(), from.data(), large_doubles * sizeof(double));
            bench::keep(to);
            if (i != 0) taken.push_back((now_ns() - begin) / 1e6);
        }
    });
    bench::run::check(to.back() == 1.0, "nothing was copied");
    r.counter("transfer_ms", bench::quantile(taken, 0.5));
}

bench::rival const spin{"spin", {{hot, spin_hot}}};
bench::rival const by_futex{"futex", {{blocked_2, futex_2}, {blocked_1, futex_1}}};
bench::rival const spawn{"spawn", {{start_small, start_10mb}, {start_2gb, start_big}}};
bench::rival const pidfd{"pidfd", {{death_small, death_of_small}, {death_2gb, death_of_2gb}}};
bench::rival const memcpy_rival{"memcpy", {{transfer, copy}}};

}  // namespace

// SPDX-License-Identifier: BSL-1.0
// A bounded queue of items in shared memory, by one thread, two threads and two processes.
#pragma once

#include "../harness.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <thread>

namespace queues {

inline constexpr bench::problem alone{"queue_alone", "push and pop 8 bytes, one thread", "ns/item"};
inline constexpr bench::problem threads{
    "queue_threads", "8 bytes each from one thread to another, 1024 places", "ns/item"};
inline constexpr bench::problem processes{
    "queue_processes", "8 bytes each from one process to another, 1024 places", "ns/item"};
inline constexpr bench::problem large{
    "queue_large", "1 KiB each from one process to another, 1024 places", "ns/item"};

inline constexpr std::size_t places = 1024;

template <std::size_t Words>
struct item {
    std::array<std::uint64_t, Words> words{};
};

/// So many items, numbered; those who cannot go on yield.
template <class T, class Queue>
void push_all(Queue& q, std::uint64_t n) {
    T what;
    for (std::uint64_t i = 0; i != n; ++i) {
        what.words.front() = what.words.back() = i;
        while (!q.push(what)) std::this_thread::yield();
    }
}

template <class T, class Queue>
bool pop_all(Queue& q, std::uint64_t n) {
    T what;
    bool right = true;
    for (std::uint64_t i = 0; i != n; ++i) {
        while (!q.pop(what)) std::this_thread::yield();
        right = right && what.words.front() == i && what.words.back() == i;
    }
    return right;
}

// Queue<T> can be made, and has bool push(T const&) and bool pop(T&).

template <template <class> class Queue>
void solve_alone(bench::run& r) {
    using T = item<1>;
    auto const n = r.size(2'000'000, 100'000);
    Queue<T> q;
    bool right = true;
    r.measure(n, [&] {
        for (std::uint64_t i = 0; i != n; ++i) {
            T what{{i}};
            right = q.push(what) && q.pop(what) && what.words[0] == i && right;
        }
    });
    bench::run::check(right, "another item came out");
}

template <template <class> class Queue>
void solve_threads(bench::run& r) {
    using T = item<1>;
    auto const n = r.size(2'000'000, 100'000);
    Queue<T> q;
    bool right = false;
    r.measure(n, [&] {
        std::jthread const other([&] { right = pop_all<T>(q, n); });
        push_all<T>(q, n);
    });
    bench::run::check(right, "other items came out");
}

template <template <class> class Queue, std::size_t Words>
void solve_processes(bench::run& r, std::size_t full, std::size_t quick) {
    using T = item<Words>;
    auto const n = r.size(full, quick);
    Queue<T> q;
    Queue<T> answer;
    pid_t const child = fork();
    if (child == 0) {
        T ready;
        answer.push(ready);
        bool const right = pop_all<T>(q, n);
        answer.push(ready);
        _exit(right ? 0 : 1);
    }
    auto const wait = [&] {
        T what;
        while (!answer.pop(what)) std::this_thread::yield();
    };
    wait();
    r.measure(n, [&] {
        push_all<T>(q, n);
        wait();
    });
    int status = -1;
    waitpid(child, &status, 0);
    bench::run::check(status == 0, "other items came out");
}

template <template <class> class Queue>
void solve_small(bench::run& r) {
    solve_processes<Queue, 1>(r, 2'000'000, 100'000);
}

template <template <class> class Queue>
void solve_large(bench::run& r) {
    solve_processes<Queue, 128>(r, 300'000, 20'000);
}

}  // namespace queues

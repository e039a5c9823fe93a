// SPDX-License-Identifier: BSL-1.0
// What only Linux has, behind names that another system could fill: futex, affinity, thread names,
// yielding, the notice of a fork. Thread-safe; nothing here allocates.
#pragma once

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstring>
#include <ctime>
#include <new>

#include <concur/detail/base/config.hpp>

namespace concur::inline v0::detail {

// One count for the whole program: what the benchmarks and a test hold against the number of tasks.
// An increment is noise beside the system call that it counts.
CONCUR_API inline std::atomic<std::uint64_t> futex_call_count{0};

/// Futex system calls that concur has made in this program so far.
inline std::uint64_t futex_calls() noexcept {
    return futex_call_count.load(std::memory_order_relaxed);  // [count] a statistic, orders nothing
}

inline void futex_wake(std::atomic<std::uint32_t>& word, int threads) noexcept {
    futex_call_count.fetch_add(1, std::memory_order_relaxed);  // [count]
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, threads, nullptr, nullptr, 0);
}

/// Sleeps while `word` holds `expected`, until `deadline` at the latest. May return early.
inline void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                       time_point deadline = time_point::max()) noexcept {
    timespec span{};
    timespec* limit = nullptr;
    if (deadline != time_point::max()) {
        auto const left = std::chrono::duration_cast<duration>(deadline - steady_clock::now());
        if (left <= duration::zero()) return;
        span.tv_sec = static_cast<std::time_t>(left.count() / 1'000'000'000);
        span.tv_nsec = static_cast<long>(left.count() % 1'000'000'000);
        limit = &span;
    }
    futex_call_count.fetch_add(1, std::memory_order_relaxed);  // [count]
    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, limit, nullptr, 0);
}

/// Fresh zeroed pages at a multiple of their own size, a power of two. Throws std::bad_alloc.
/// (malloc would add pages of its own to each such piece.)
[[gnu::cold]] inline char* map_aligned(std::size_t bytes) {
    void* const wide =
        mmap(nullptr, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (wide == MAP_FAILED) throw std::bad_alloc();
    auto* const begin = static_cast<char*>(wide);
    auto const past = reinterpret_cast<std::uintptr_t>(wide) % bytes;
    char* const aligned = begin + (past == 0 ? 0 : bytes - past);
    if (aligned != begin) munmap(begin, static_cast<std::size_t>(aligned - begin));
    munmap(aligned + bytes, static_cast<std::size_t>(begin + bytes - aligned));
    return aligned;
}

inline void unmap_aligned(void* pages, std::size_t bytes) noexcept { munmap(pages, bytes); }

inline void yield_thread() noexcept { sched_yield(); }

/// Names the calling thread in debuggers and `top`; the kernel keeps 15 characters.
inline void name_thread(char const* name) noexcept {
    char text[16] = {};
    std::strncpy(text, name, sizeof text - 1);
    pthread_setname_np(pthread_self(), text);
}

/// CPUs in the affinity mask of the calling thread; 0 when the kernel does not say.
inline std::size_t cpus_in_affinity() noexcept {
    // A fixed set holds 1024 CPUs; larger machines answer EINVAL and are asked again.
    for (int cpus = CPU_SETSIZE; cpus <= CPU_SETSIZE * 64; cpus *= 4) {
        cpu_set_t* const set = CPU_ALLOC(static_cast<std::size_t>(cpus));
        if (!set) return 0;
        auto const bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(cpus));
        auto const found = sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 0;
        CPU_FREE(set);
        if (found > 0) return static_cast<std::size_t>(found);
    }
    return 0;
}

// Protocol [fork] - executors do not survive fork(): their threads stay in the parent.
// The child's handler runs while the child has one thread and bumps the generation; whoever was
// made in an older generation is inert. Relaxed: that one thread wrote it, or started the reader.
CONCUR_API inline std::atomic<std::uint32_t> fork_generation_word{0};

inline std::uint32_t fork_generation() noexcept {
    static bool const watching = [] {
        return pthread_atfork(nullptr, nullptr, [] {
                   fork_generation_word.fetch_add(1, std::memory_order_relaxed);  // [fork]
               }) == 0;
    }();
    static_cast<void>(watching);
    return fork_generation_word.load(std::memory_order_relaxed);  // [fork]
}

/// True in a child that the user forked after `generation` was taken.
inline bool forked_since(std::uint32_t generation) noexcept {
    return fork_generation_word.load(std::memory_order_relaxed) != generation;  // [fork]
}

}  // namespace concur::inline v0::detail

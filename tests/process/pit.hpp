// SPDX-License-Identifier: BSL-1.0
// A segment of shared memory with a nursery: what a pool has, without the pool.
#pragma once

#include <concur/detail/ipc/nursery.hpp>

#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <new>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

namespace process {

using concur::start_method;
using concur::detail::deadline_after;
using concur::detail::nursery;
using concur::detail::nursery_options;
using concur::detail::open_pidfd;
using concur::detail::unique_fd;
using concur::detail::wait_readable;
using concur::detail::worker_life;
using concur::detail::worker_main;

inline constexpr std::size_t room = 8;
inline constexpr std::chrono::seconds patience{30};

/// What the segment holds.
struct shared {
    std::atomic<std::uint32_t> control;
    worker_life lives[room];
    std::atomic<std::uint32_t> word;  // what a worker waits for
    std::atomic<int> value[room];
    char text[16384];
};

inline shared& in(std::byte* segment) { return *reinterpret_cast<shared*>(segment); }

/// Sleeps until the word is not 0; in workers.
inline void wait_for_word(shared& memory) {
    while (memory.word.load() == 0) concur::detail::futex_wait_shared(memory.word, 0);
}

/// Like REQUIRE, also in workers, which have never seen doctest's main.
inline void must(bool condition) {
    if (!condition) throw std::runtime_error("the test itself cannot go on");
}

inline std::string file_text(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// True when the process has ended (a zombie has), or ends within the patience.
inline bool is_gone(int pid) {
    const unique_fd process = open_pidfd(pid);
    return !process || wait_readable(process.get(), deadline_after(patience));
}

class pit {
public:
    explicit pit(start_method start, worker_main work, std::size_t workers = room) {
        fd.reset(memfd_create("pit", MFD_CLOEXEC));
        must(ftruncate(fd.get(), sizeof(shared)) == 0);
        void* const address =
            mmap(nullptr, sizeof(shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
        must(address != MAP_FAILED);
        memory = new (address) shared{};
        options.start = start;
        options.segment_fd = fd.get();
        options.segment_bytes = sizeof(shared);
        options.lives_offset = offsetof(shared, lives);
        options.stride = sizeof(worker_life);
        options.workers = workers;
        options.control_offset = offsetof(shared, control);
        options.entry = work;
    }
    ~pit() {
        home.reset();
        munmap(memory, sizeof(shared));
    }
    pit(const pit&) = delete;
    pit& operator=(const pit&) = delete;

    nursery& open() {
        home = std::make_unique<nursery>(options);
        return *home;
    }

    void start(std::uint32_t index) {
        memory->lives[index].phase.store(worker_life::asked);
        home->start(index);
    }

    worker_life& life(std::uint32_t index) { return memory->lives[index]; }

    /// The phase of a worker, as soon as it is one of these. 0: never.
    std::uint32_t wait_phase(std::uint32_t index, std::uint32_t one, std::uint32_t other) {
        const auto deadline = deadline_after(patience);
        for (;;) {
            const auto seen = memory->control.load();
            const auto phase = life(index).phase.load();
            if (phase == one || phase == other) return phase;
            if (concur::detail::steady_clock::now() >= deadline) return 0;
            concur::detail::futex_wait_shared(memory->control, seen, deadline);
        }
    }

    /// The wait status of a worker, once it has ended.
    int status(std::uint32_t index) {
        must(wait_phase(index, worker_life::ended, worker_life::failed) == worker_life::ended);
        return life(index).code.load();
    }

    void wait_running(std::uint32_t index) {
        must(wait_phase(index, worker_life::running, worker_life::failed) == worker_life::running);
    }

    void say_word() {
        memory->word.store(1);
        concur::detail::futex_wake_shared(memory->word);
    }

    unique_fd fd;
    shared* memory = nullptr;
    nursery_options options;
    std::unique_ptr<nursery> home;  // std::optional makes g++ 12 see uninitialised members
};

}  // namespace process

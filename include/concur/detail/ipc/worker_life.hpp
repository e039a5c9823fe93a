// SPDX-License-Identifier: BSL-1.0
// What pool, fork server, nursery and workers say to each other when workers come and go: the
// word in shared memory, and the packets.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <concur/detail/base/config.hpp>
#include <concur/detail/base/linux.hpp>
#include <concur/detail/base/linux_ipc.hpp>
#include <concur/detail/ipc/modules.hpp>

namespace concur::inline v0 {

/// Where the workers of a process_pool come from.
enum class start_method : std::uint8_t {
    forkserver,  ///< a clean copy of the program, after its static initialisers and before main
    fork,        ///< the memory of this process at the moment when the pool is made
    spawn        ///< each worker is a program start of its own, up to main
};

namespace detail {

/// What a worker does; its process ends with what this returns, without atexit handlers.
using worker_main = int (*)(std::byte* segment, std::size_t bytes, std::uint32_t index,
                            std::uint32_t generation);

/// In a worker, if its pool wants that: where it sends descriptors, and what wakes an event loop.
CONCUR_API inline int inherited_parcels = -1;
CONCUR_API inline int inherited_event = -1;

/// The worker takes over these two, or -1. Not before it was forked or has entered.
inline void inherit(int parcels, int event) noexcept {
    inherited_parcels = parcels;
    if (parcels >= 0) fcntl(parcels, F_SETFD, FD_CLOEXEC);
    inherited_event = -1;
    if (event < 0) return;
    // High up: a task may close all descriptors and open its own, which get the lowest numbers, and
    // nothing must be written into those. There may be no number so high: then it goes without.
    constexpr int high = 512;
    inherited_event = fcntl(event, F_DUPFD_CLOEXEC, high);
    close(event);
}

// Protocol [life] - one in shared memory for each worker; its process is the nursery's child.
//
//   phase    meaning                                  who moves it on
//   none     never started                            pool to asked (nursery: see first)
//   asked    the nursery has been told                nursery to running or failed
//   running  `pid` runs                               nursery to ended (pool to asked: see below)
//   failed   could not be started, `code` is errno    pool to asked
//   ended    was waited for, `code`: wait status      pool to asked (nursery: see below)
//
// Who       pid, code and generation are the nursery's alone; a worker touches none of it.
// Order     the nursery writes pid and code, then stores phase (release), then counts the control
//           word up and wakes its sleepers; the pool loads phase (acquire). A start stores asked,
//           then generation (release): who loads a new generation (acquire) and then phase does not
//           see the end of the one before.
// Asked     while it still runs (its end is known, its memory not yet given back): the nursery
//           starts the next one as soon as it has waited for this one. Meanwhile `ended` of the old
//           generation may be seen, or not; the start then makes it asked again.
// Death     of the worker: the nursery is its parent and waits for it, so pid is not another
//           process's before `ended`. Of the nursery: the kernel kills its workers, and nobody
//           moves a phase any more; the pool sees that by nursery::alive(). Of the user's process:
//           the nursery kills all and ends.
struct worker_life {
    enum : std::uint32_t { none, asked, running, failed, ended };
    std::atomic<std::uint32_t> phase;
    std::atomic<std::int32_t> pid;
    std::atomic<std::int32_t> code;
    std::atomic<std::uint32_t> generation;  ///< counts starts; 1 is the first worker here
};
static_assert(sizeof(worker_life) == 16 && std::atomic<std::uint32_t>::is_always_lock_free);

inline constexpr std::uint64_t nursery_magic = 0x31'72'75'63'6e'6f'63;  // "concur1"

/// What a nursery is told once. Sent to the fork server with the descriptors that `carried` names.
struct nursery_order {
    enum : std::uint8_t { socket, segment, user, folder, output, errors, parcels, event, kinds };
    std::uint64_t magic = nursery_magic;
    code_address entry{};
    std::uint64_t segment_bytes = 0, lives_offset = 0, stride = 0, workers = 0, control_offset = 0;
    std::uint64_t first = 0;  ///< so many workers are started without being asked for
    start_method start = start_method::forkserver;
    std::uint8_t carried[8] = {};  ///< which descriptor is which
    bool has_cpus = false;
    cpu_set_t cpus{};          ///< where the thread that made the pool may run
    char module_file[4096]{};  ///< where `entry` is, unless in the executable
};

/// The nursery's first and only packet; its modules follow.
struct nursery_hello {
    enum stage : std::uint32_t { ready, forking, mapping, watching, entering };
    std::uint64_t magic = nursery_magic;
    std::uint32_t failed = ready;
    std::int32_t error = 0;
    std::int32_t pid = 0;
    std::uint32_t modules = 0;
};

/// What the pool tells its nursery.
struct nursery_call {
    enum : std::uint32_t { start, kill, end };
    std::uint32_t what;
    std::uint32_t index;
    std::uint32_t generation;
    std::int32_t signal;
};

}  // namespace detail
}  // namespace concur::inline v0

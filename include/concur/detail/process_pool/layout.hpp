// SPDX-License-Identifier: BSL-1.0
// What stands where in the one memory segment of a process pool: the pool's own words, a part for
// each worker, and behind them the blocks of large calls and replies.
#pragma once

#include <atomic>
#include <cstdint>

#include <concur/detail/ipc/arena.hpp>
#include <concur/detail/ipc/death.hpp>
#include <concur/detail/ipc/lead.hpp>
#include <concur/detail/ipc/modules.hpp>
#include <concur/detail/ipc/nursery.hpp>
#include <concur/detail/ipc/ring.hpp>
#include <concur/detail/ipc/segment.hpp>

namespace concur::inline v0::detail {

/// A module whose code is called: calls travel as the index of one of these, and an offset.
struct module_entry {
    std::uint64_t key;
    char path[504];  ///< for what was loaded after the fork server had started
};

// Protocol [pool_memory]
//
//   who        writes
//   pool       modules (before modules_known), limits, stop_call, the calls in the rings
//   worker     started_at, progress, reply_block, over_limit, awake, the replies; the control
//              word once, when its death sensor can be watched; parcels_wait, unheard, and the
//              control word after them
//   nursery    life, and the control word after it
//
// Invariant  there is no lock, and nobody waits for a worker without watching its death sensor: a
//            process may be killed at any instruction.
// Order      progress is stored with release after the bytes that it counts, and read with acquire;
//            started_at before the worker's next progress or reply.
struct pool_memory {
    static constexpr std::size_t most_modules = 64;
    static constexpr std::uint64_t function_bits = 48;

    doorbell bell;                                   ///< a reply has come
    alignas(64) std::atomic<std::uint32_t> control;  ///< the pool's thread should look around
    alignas(64) std::atomic<std::int32_t> awake;     ///< workers that run or poll
    std::uint64_t blocks_at;                         ///< the pool's arena
    std::uint64_t replies_at;                        ///< the arena of worker 0
    std::uint64_t reply_bytes;                       ///< of each worker's arena
    std::uint64_t memory_limit;                      ///< resident bytes; 0: none
    std::atomic<std::uint32_t> parcels_wait;         ///< a worker found the socket full
    std::atomic<std::uint32_t> unheard;  ///< a worker rang, and could not wake who listens
    std::int32_t most_awake;             ///< while more are, none polls
    char name[12];                       ///< its beginning, for the workers' names
    std::atomic<std::uint32_t> modules_known;
    module_entry modules[most_modules];
};

struct worker_words {
    std::atomic<std::uint64_t> stop_call;     ///< position that was asked to stop
    std::atomic<std::uint32_t> stop_bell;     ///< raised after stop_call, for the worker's watcher
    std::atomic<std::uint32_t> over_limit;    ///< it has more memory than it should
    std::atomic<std::int32_t> awake;          ///< it is counted in pool_memory::awake
    std::atomic<std::int64_t> started_at;     ///< steady clock, of a call or item with a time limit
    std::atomic<std::uint64_t> started_call;  ///< whose that is; stored after it
    std::atomic<std::uint64_t> reply_block;   ///< offset of the reply that a chunk is writing
    std::atomic<std::uint64_t> progress;      ///< which chunk it is, and its items that are done

    /// Half of it says whose it is: a worker may be killed before it has touched its next chunk.
    static constexpr std::uint64_t progress_of(std::uint64_t position, std::size_t items) noexcept {
        return position << 32 | static_cast<std::uint32_t>(items);
    }
};

struct alignas(64) worker_memory {
    worker_life life;
    death_sensor death;
    doorbell bell;  ///< a call has come
    alignas(64) worker_words words;
    ring_memory ring;
};

/// Addresses in the segment, as one process sees it.
class pool_view {
public:
    pool_view() = default;
    explicit pool_view(std::byte* base) noexcept : base_(base) {}

    pool_memory& pool() const noexcept { return *reinterpret_cast<pool_memory*>(base_); }
    worker_memory& worker(std::size_t index) const noexcept {
        return *reinterpret_cast<worker_memory*>(base_ + workers_at() +
                                                 index * sizeof(worker_memory));
    }
    std::byte* at(std::uint64_t offset) const noexcept { return base_ + offset; }
    std::byte* replies(std::size_t index) const noexcept {
        return base_ + pool().replies_at + index * pool().reply_bytes;
    }

    static constexpr std::size_t workers_at() noexcept {
        return (sizeof(pool_memory) + 63) / 64 * 64;
    }
    static constexpr std::size_t words_end(std::size_t workers) noexcept {
        return (workers_at() + workers * sizeof(worker_memory) + 4095) / 4096 * 4096;
    }

private:
    std::byte* base_ = nullptr;
};

/// What a reply's slot says when the reply itself stands in a block.
struct reply_in_block {
    std::uint64_t offset;
    std::uint64_t bytes;
    std::uint64_t items;
    std::int64_t took;  ///< by a chunk, in ns
};
inline constexpr std::uint32_t reply_is_in_block = 1u << 8;
/// There is shared memory in it that the pool has to take out of the socket first.
inline constexpr std::uint32_t reply_has_parcels = 1u << 9;

}  // namespace concur::inline v0::detail

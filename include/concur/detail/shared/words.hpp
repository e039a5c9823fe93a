// SPDX-License-Identifier: BSL-1.0
// The words at the end of a shared segment: which one it is, and which processes hold handles.
#pragma once

#include <atomic>
#include <csignal>
#include <cstdint>

#include <concur/detail/ipc/segment.hpp>

namespace concur::inline v0::detail {

/// Never 0, and no other's.
inline std::uint64_t fresh_segment_id() {
    for (;;) {
        if (auto const id = random_word()) return id;
    }
}

// Protocol [holders] - the last handle in the last process frees the memory.
//
//   id        what names the segment in messages; 0: dead, the memory is gone or waits for another
//             use. Changed by the process that took `holders` to 0.
//   holders   processes that have handles, handles on their way to a process that does not know of
//             the segment yet, and children that are just being forked
//   pids      who they are: only for finding those that were killed
//
// Invariant  holders is never too low: whoever hands a segment on holds it until the other side
//            does. It may be too high when a process was killed; then the memory goes with the last
//            mapping, or when its maker lets go and finds in `pids` that the process is no more.
// Who        a process adds 1, then puts its pid into a free place; it takes the pid out by a
//            compare-and-swap, and only who succeeds in that subtracts 1: the process itself, or
//            the maker when that pid has ended. Without a free place there is no pid.
// Death      between two steps: too high, see above. A pid that was given to another process:
//            likewise.
struct segment_words {
    static constexpr std::uint64_t right_magic = 0x31'64'65'72'61'68'73'63;  // "cshared1"
    static constexpr std::size_t bytes = 4096;
    static constexpr std::size_t places = (bytes - 64) / sizeof(std::int32_t);
    static constexpr std::uint32_t nowhere = UINT32_MAX;

    std::atomic<std::uint64_t> magic;
    std::atomic<std::uint64_t> id;
    std::atomic<std::uint32_t> holders;
    std::uint32_t layout;  ///< of a named one: its element type
    std::uint64_t count;   ///< of a named one: its elements
    std::uint32_t named;
    alignas(64) std::atomic<std::int32_t> pids[places];

    void begin(std::uint64_t as) noexcept {
        id.store(as);
        magic.store(right_magic);
    }

    /// A process is to hold it; the place of its pid.
    std::uint32_t hold(pid_t pid) noexcept {
        holders.fetch_add(1);
        return sign(pid);
    }
    /// The same for one that was counted before.
    std::uint32_t sign(pid_t pid) noexcept {
        for (std::uint32_t i = 0; i != places; ++i) {
            std::int32_t free = 0;
            if (pids[i].load(std::memory_order_relaxed) == 0 &&  // [holders] then tried for
                pids[i].compare_exchange_strong(free, pid)) {
                return i;
            }
        }
        return nowhere;
    }
    /// True: nobody holds it any more.
    bool let_go(std::uint32_t place, pid_t pid) noexcept {
        std::int32_t mine = pid;
        if (place != nowhere && !pids[place].compare_exchange_strong(mine, 0)) {
            return false;  // somebody took us for dead
        }
        return holders.fetch_sub(1) == 1;
    }
    /// Looks for holders that were killed. True: nobody holds it any more.
    [[gnu::cold]] bool forget_the_dead() noexcept {
        for (auto& place : pids) {
            std::int32_t pid = place.load();
            if (pid == 0 || kill(pid, 0) == 0 || errno != ESRCH) continue;
            if (place.compare_exchange_strong(pid, 0) && holders.fetch_sub(1) == 1) return true;
        }
        return false;
    }
};
static_assert(sizeof(segment_words) == segment_words::bytes);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace concur::inline v0::detail

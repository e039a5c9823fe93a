// SPDX-License-Identifier: BSL-1.0
// How one process wakes another that waits for something in shared memory. Cost of a ring: a full
// fence and a look, so ring once for many changes; a system call only when somebody sleeps.
#pragma once

#include <atomic>
#include <type_traits>

#include <concur/detail/base/chaos.hpp>
#include <concur/detail/base/linux_ipc.hpp>

namespace concur::inline v0::detail {

// Protocol [doorbell]
//
//   asleep   meaning                                 who moves it on
//   0        nobody needs a wake-up                  sleeper: to 1
//   1        a sleeper is in the kernel, or about    ringers: to 0, and whoever does it wakes;
//            to look at the world once more          sleeper: to 0
//
// Invariant  a change that was made before ring() is never slept over: either the ringer sees
//            asleep = 1, or the sleeper sees the change in its look after announce().
// Order      ringer: change, full fence, read asleep. Sleeper: write asleep, full fence, look. One
//            of the two reads sees the other side's write (store buffering, C++20 [atomics.order]).
//            Nothing else is ordered by asleep: the change brings its own release and acquire.
// Death      of a sleeper: asleep stays 1, one useless system call of the next ringer clears it.
//            Of a ringer between the exchange and the wake-up: its change is there, but the sleeper
//            is not told: sleepers therefore also watch the life of whom they wait for (death.hpp).
//            (Stopped there by a debugger: the sleeper is told when it goes on.)
// Users      one sleeper at a time, any number of ringers.
// Model      tests/model/doorbell.pml

inline void full_fence() noexcept {
    __sync_synchronize();  // std::atomic_thread_fence, which g++ refuses under ThreadSanitizer
}

/// In shared memory; zeroed memory is a fresh one.
struct alignas(cache_line) doorbell {
    std::atomic<std::uint32_t> asleep;
    // The rest of the line is free, for instance for an eventfd of an event loop that sleeps here.

    /// Any process, after its change.
    void ring() noexcept {
        chaos_point();
        full_fence();
        if (asleep.load(std::memory_order_relaxed) == 0) return;  // [doorbell] after the fence
        chaos_point();
        if (asleep.exchange(0) != 0) futex_wake_shared(asleep);
    }

    /// Sleeper: says that it is about to sleep; must then look at the world once more.
    void announce() noexcept {
        asleep.store(1, std::memory_order_relaxed);  // [doorbell] before the fence
        full_fence();
        chaos_point();
    }

    /// Sleeper: what to sleep on after that look, alone or together with other words.
    futex_watch watch() noexcept { return {&asleep, 1}; }

    /// Sleeper: it does not sleep any more.
    void withdraw() noexcept {
        asleep.store(0, std::memory_order_relaxed);  // [doorbell] a ringer that saw 1 wakes nobody
    }

    /// Sleeps until `ready()`, which may be called often. False: the deadline came first.
    template <class Ready>
    bool wait(Ready&& ready, time_point deadline = time_point::max()) {
        for (;;) {
            announce();
            if (ready()) break;
            if (deadline != time_point::max() && steady_clock::now() >= deadline) {
                withdraw();
                return false;
            }
            futex_wait_shared(asleep, 1, deadline);
            if (ready()) break;
        }
        withdraw();
        return true;
    }
};

static_assert(sizeof(doorbell) == cache_line && std::is_standard_layout_v<doorbell>);

}  // namespace concur::inline v0::detail

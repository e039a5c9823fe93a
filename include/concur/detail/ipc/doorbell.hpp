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
//   asleep      meaning                                          who moves it on
//   nobody      nobody needs a wake-up                           sleeper: to one of the others
//   futex       a sleeper is in the kernel, or about to look     ringers: to nobody, and whoever
//   descriptor  at the world once more; on the futex of this     does it wakes; sleeper: to nobody
//               word, or in a poll of its eventfd
//
// Invariant  a change that was made before ring() is never slept over: either the ringer sees that
//            somebody sleeps, or the sleeper sees the change in its look after announce().
// Order      ringer: change, full fence, read asleep. Sleeper: write asleep, full fence, look. One
//            of the two reads sees the other side's write (store buffering, C++20 [atomics.order]).
//            Nothing else is ordered by asleep: the change brings its own release and acquire.
// Death      of a sleeper: asleep stays, one useless system call of the next ringer clears it.
//            Of a ringer between the exchange and the wake-up: its change is there, but nobody is
//            told, of this change nor of later ones. So the sleeper also watches the life of whom
//            it waits for (death.hpp), or somebody else does, who calls rouse() then. The same
//            holds where ring() says that it could not wake anybody.
//            (Stopped there by a debugger: the sleeper is told when it goes on.)
// Users      one sleeper at a time (lead.hpp), any number of ringers.
// Model      tests/model/doorbell.pml

inline void full_fence() noexcept {
    __sync_synchronize();  // std::atomic_thread_fence, which g++ refuses under ThreadSanitizer
}

/// In shared memory; zeroed memory is a fresh one.
struct alignas(cache_line) doorbell {
    enum sleeper : std::uint32_t { nobody, futex, descriptor };
    std::atomic<std::uint32_t> asleep;

    /// Any process, after its change. `event`: its own descriptor of the bell's eventfd, if it has
    /// one. False: somebody polls that, and could not be woken.
    bool ring(int event = -1) noexcept {
        chaos_point();
        full_fence();
        if (asleep.load(std::memory_order_relaxed) == nobody) return true;  // [doorbell] fence
        chaos_point();
        auto const how = asleep.exchange(nobody);
        if (how == futex) futex_wake_shared(asleep);
        return how != descriptor || signal_event(event);
    }

    /// A ringer has died, maybe before it woke whom it should: whoever sleeps looks again.
    void rouse(int event = -1) noexcept {
        asleep.store(nobody);
        futex_wake_shared(asleep);
        if (event >= 0) signal_event(event);
    }

    /// Sleeper: says that it is about to sleep; must then look at the world once more.
    void announce(sleeper how = futex) noexcept {
        asleep.store(how, std::memory_order_relaxed);  // [doorbell] before the fence
        full_fence();
        chaos_point();
    }

    /// Sleeper: what to sleep on after that look, alone or together with other words.
    futex_watch watch() noexcept { return {&asleep, futex}; }

    /// Sleeper: it does not sleep any more.
    void withdraw() noexcept {
        asleep.store(nobody, std::memory_order_relaxed);  // [doorbell] a ringer wakes in vain
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
            futex_wait_shared(asleep, futex, deadline);
            if (ready()) break;
        }
        withdraw();
        return true;
    }
};

static_assert(sizeof(doorbell) == cache_line && std::is_standard_layout_v<doorbell>);

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// Puts one thread to sleep until somebody says otherwise; a wake-up that comes first is kept.
// park() is for the one owner, unpark() for any thread. Cost: no system call when the token is
// there already, or when nobody sleeps.
#pragma once

#include <atomic>

#include <concur/detail/base/chaos.hpp>
#include <concur/detail/base/config.hpp>
#include <concur/detail/base/linux.hpp>

namespace concur::inline v0::detail {

// Protocol [parker]
//
//   word      meaning                     who moves it on
//   empty     nothing happened            owner to asleep, any thread to token
//   asleep    the owner is in the kernel  any thread to token (and wakes), owner to empty
//   (time-out) token     one wake-up is kept         owner to empty
//
// Invariant  unpark() after the owner's last look at the world is never lost: the token stays.
// Order      what a thread wrote before unpark() is seen by the owner after park(): the exchange in
//            unpark() is a release, each exchange in park() an acquire.
// Death      threads of one process only. The owner may destroy the parker as soon as park()
//            returned a token; the late futex_wake in unpark() then hits an address without a
//            sleeper, which the kernel takes for a spurious wake-up.
class parker {
public:
    /// Blocks until a token comes and takes it. False: the deadline came first.
    bool park(time_point deadline = time_point::max()) noexcept {
        for (;;) {
            chaos_point();
            std::uint32_t seen = empty;
            if (!word_.compare_exchange_strong(seen, asleep) && take()) return true;
            futex_wait(word_, asleep, deadline);
            if (take()) return true;
            if (deadline != time_point::max() && steady_clock::now() >= deadline) {
                // A token that came between the two exchanges counts: nobody else will use it.
                return word_.exchange(empty) == token;
            }
        }
    }

    /// Takes a token if there is one; never blocks.
    bool take() noexcept {
        std::uint32_t seen = token;
        return word_.load(std::memory_order_relaxed) == token &&  // [parker] a hint, CAS decides
               word_.compare_exchange_strong(seen, empty);
    }

    void unpark() noexcept {
        chaos_point();
        if (word_.exchange(token) == asleep) futex_wake(word_, 1);
    }

private:
    static constexpr std::uint32_t empty = 0, token = 1, asleep = 2;
    std::atomic<std::uint32_t> word_{empty};
};

/// Polls `ready` for about as long as a thread switch costs, so that an answer which is already on
/// its way needs no system call. Yields between rounds: on few CPUs the answer may need this one.
template <class Ready>
bool spin_until(Ready&& ready, int yields) noexcept {
    for (int round = 0;; ++round) {
        for (int spin = 0; spin < 32; ++spin) {
            if (ready()) return true;
            cpu_relax();
        }
        if (round >= yields) return false;
        yield_thread();
    }
}

}  // namespace concur::inline v0::detail

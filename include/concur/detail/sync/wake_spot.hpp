// SPDX-License-Identifier: BSL-1.0
// Where one reader waits for something that several threads bring: a thread that parks, or a
// coroutine, which leaves a hook. Any thread may wake. Cost: what a parker costs, and one load.
#pragma once

#include <atomic>

#include <concur/detail/sync/parker.hpp>

namespace concur::inline v0::detail {

/// Somebody who is woken by a call. Whoever calls has taken it out of its spot.
struct wake_hook {
    explicit wake_hook(void (*c)(wake_hook&) noexcept) noexcept : call(c) {}
    void (*call)(wake_hook&) noexcept;
};

// Protocol [spot]
// The reader leaves its hook, then looks whether there is something; a bringer brings it, then
// takes the hook: one of them sees the other (seq_cst). Whoever takes the hook out, and only he,
// may use it: the reader takes it back, or waits until it was called.
struct wake_spot {
    void wake() noexcept {
        sleeper.unpark();
        if (hook.load()) {
            if (auto* const h = hook.exchange(nullptr)) h->call(*h);
        }
    }
    void leave_hook(wake_hook& h) noexcept { hook.store(&h); }
    /// False: somebody has it, and calls it.
    bool take_back() noexcept { return hook.exchange(nullptr) != nullptr; }

    parker sleeper;
    std::atomic<wake_hook*> hook{nullptr};
};

}  // namespace concur::inline v0::detail

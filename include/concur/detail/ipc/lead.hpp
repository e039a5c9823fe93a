// SPDX-License-Identifier: BSL-1.0
// Who of a process sleeps on a doorbell, when several would. Cost: one or two compare-exchanges for
// each sleep.
#pragma once

#include <concur/detail/ipc/doorbell.hpp>

namespace concur::inline v0::detail {

// Protocol [lead]
//
//   holder     meaning                                         who moves it on
//   nobody     nobody sleeps on the bell                       a leader or a listener: to held
//   held       a leader has the bell; or a listener comes or   that one: to nobody, or to itself
//              goes
//   an address that listener sleeps in a poll of descriptors   itself, to go: to held;
//              (or does other things: it may take its time)    a leader, to take it away: to held
//
// Invariant  only who holds it writes to the bell as its sleeper, and only a listener that has gone
//            to held again takes back the eventfd: no sleeper's announcement is overwritten, and no
//            eventfd is emptied that woke somebody else.
// Leaders    read for everybody until they leave, then see to it that somebody else does who still
//            waits. A listener may be in foreign code for long, so it answers for nobody: whoever
//            needs the bell takes it away. What was the listener's own is then the taker's to read.
// Order      a listener shows its address, then looks who found the bell held meanwhile; those said
//            so before they tried: one of them sees the other. All seq_cst.
// Death      none: all are threads of one process.
// Model      tests/model/lead.pml
class bell_lead {
public:
    enum class taken { no, yes, from_listener };

    /// To sleep on the bell's futex until leave().
    taken take() noexcept {
        auto seen = holder_.load();
        while (seen != held) {
            chaos_point();
            if (holder_.compare_exchange_weak(seen, held)) {
                return seen == nobody ? taken::yes : taken::from_listener;
            }
        }
        return taken::no;
    }
    void leave() noexcept { holder_.store(nobody); }

    /// To poll the eventfd. True: announced; look at the world, then sleep, then stop_listening().
    bool listen(doorbell& bell, void const* who) noexcept {
        auto seen = nobody;
        if (!holder_.compare_exchange_strong(seen, held)) return false;
        bell.announce(doorbell::descriptor);
        holder_.store(reinterpret_cast<std::uintptr_t>(who));
        return true;
    }
    /// `woken`: the eventfd was seen readable. False: a leader has taken the bell.
    bool stop_listening(doorbell& bell, void const* who, bool woken, int event) noexcept {
        auto mine = reinterpret_cast<std::uintptr_t>(who);
        chaos_point();
        if (!holder_.compare_exchange_strong(mine, held)) return false;
        bell.withdraw();
        if (woken) take_back_event(event);
        leave();
        return true;
    }

private:
    static constexpr std::uintptr_t nobody = 0, held = 1;
    std::atomic<std::uintptr_t> holder_{nobody};
};

}  // namespace concur::inline v0::detail

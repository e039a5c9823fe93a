// SPDX-License-Identifier: BSL-1.0
// Calls from the pool to one worker process and its replies, through shared memory. The worker may
// be killed at any instruction: the pool then knows of each call whether it was replied to, was
// under way (one at most) or never started. Cost: one cache line each way, no system call.
#pragma once

#include <array>
#include <atomic>
#include <type_traits>

#include <concur/detail/base/chaos.hpp>
#include <concur/detail/base/config.hpp>

namespace concur::inline v0::detail {

// Protocol [ring]
//
//   claim of a call slot   meaning                            who moves it on
//   an older position      the call p is not there yet        pool: to offered(p)
//   offered(p) = 4p        may start                          worker: to taken(p) by CAS,
//                                                             pool: to revoked(p) by CAS
//   taken(p)   = 4p + 1    runs, has run or died              pool: to offered(p + Slots)
//   revoked(p) = 4p + 2    never starts, no reply comes       pool: to offered(p + Slots)
//
//   done of a reply slot   p: the reply to call p is there    worker: from an older position
//
// Position   counts calls from 1 and never turns back, also not for a worker's successor, which
//            starts at `first`: what its predecessor left in the slots is older, like any old turn.
// Invariant  slot p is offered again as p + Slots only after reply p was read or p was revoked. The
//            pool offers in order, so then this holds of every position up to p.
//            The worker touches a call slot only from taken(p) to done = p, a reply slot only
//            before done = p; the pool the rest of the time. So each field but claim and done is
//            touched by one side at a time.
//            The worker goes through the positions in order: taken(p) without done = p is true of
//            one p at most, so claim alone says what a dead worker was at.
// Order      offer: fields before claim (release), with take() (acquire). reply: fields before done
//            (release), with next_reply() (acquire), which also hands both slots back.
// Death      of the worker: the pool reads the replies, then look() says what became of the rest,
//            then restart() for the successor. Nothing needs repair. Of the pool: the worker goes.
// Users      pool side: one thread at a time (a lock of the pool's own); worker side: one thread.
// Model      tests/model/ring.pml

struct alignas(cache_line) call_slot {
    static constexpr std::size_t room = 40;

    std::atomic<std::uint64_t> claim;
    std::uint64_t function;
    std::uint32_t bytes;
    std::uint32_t kind;
    std::byte payload[room];

    /// For whom has taken it.
    std::uint64_t position() const noexcept {
        return claim.load(std::memory_order_relaxed) / 4;  // [ring] taken: nobody changes it
    }
};

struct alignas(cache_line) reply_slot {
    static constexpr std::size_t room = 48;

    std::atomic<std::uint64_t> done;
    std::uint32_t bytes;
    std::uint32_t kind;
    std::byte payload[room];
};

/// The part in shared memory. Zeroed memory is a fresh one.
template <std::size_t Slots>
struct basic_ring_memory {
    static_assert(Slots >= 2);

    alignas(cache_line) std::atomic<std::uint64_t> first;  // where the worker starts
    call_slot calls[Slots];
    reply_slot replies[Slots];

    /// The ring that stands at a place in a segment.
    static basic_ring_memory& at(std::byte* place) noexcept {
        return *reinterpret_cast<basic_ring_memory*>(place);
    }
};

inline constexpr std::size_t ring_slots = 1024;
using ring_memory = basic_ring_memory<ring_slots>;

static_assert(sizeof(call_slot) == 64 && sizeof(reply_slot) == 64);
static_assert(std::is_standard_layout_v<ring_memory> && sizeof(ring_memory) == 64 + 128 * 1024);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "shared memory has no locks");

inline void prefetch_to_write(void const* line) noexcept { __builtin_prefetch(line, 1); }

constexpr std::uint64_t offered_claim(std::uint64_t position) noexcept { return 4 * position; }
constexpr std::uint64_t taken_claim(std::uint64_t position) noexcept { return 4 * position + 1; }
constexpr std::uint64_t revoked_claim(std::uint64_t position) noexcept { return 4 * position + 2; }

/// What became of a call.
enum class fate : std::uint8_t {
    offered,  ///< not started; of a dead worker: never started
    taken,    ///< under way; of a dead worker: lost
    revoked,  ///< will never start
    replied   ///< its reply is there
};

/// The pool's end. Fresh memory, or restart(), before a worker looks at it.
template <std::size_t Slots>
class basic_call_side {
public:
    explicit basic_call_side(basic_ring_memory<Slots>& ring) noexcept : ring_(&ring) { restart(); }

    /// No room for another call: the reply to oldest() must be read first.
    bool full() const noexcept { return next_ - oldest_ == Slots; }

    /// Offers a call and returns its position; must not be full(). `write_payload` gets the place
    /// for up to call_slot::room bytes; if it throws, nothing was offered.
    template <class Write>
    std::uint64_t offer(std::uint64_t function, std::uint32_t kind, std::uint32_t bytes,
                        Write&& write_payload) {
        auto const position = next_;
        call_slot& slot = ring_->calls[position % Slots];
        write_payload(&slot.payload[0]);
        slot.function = function;
        slot.bytes = bytes;
        slot.kind = kind;
        revoked_[position % Slots] = false;
        chaos_point();
        slot.claim.store(offered_claim(position),
                         std::memory_order_release);  // [ring] fields before claim, with take()
        next_ = position + 1;
        return position;
    }

    /// True: the worker has not started the call, never will, and does not reply to it. The
    /// position must be in [oldest(), next()).
    bool revoke(std::uint64_t position) noexcept {
        chaos_point();
        auto expected = offered_claim(position);
        // The worker decides by the same word; whoever loses has touched nothing else yet.
        if (!ring_->calls[position % Slots].claim.compare_exchange_strong(
                expected, revoked_claim(position),
                std::memory_order_relaxed)) {  // [ring] against take(), publishes nothing
            return false;
        }
        revoked_[position % Slots] = true;
        skip_revoked();
        return true;
    }

    /// The reply to oldest(), or null if it is not there yet. Valid until pop_reply().
    reply_slot const* next_reply() const noexcept {
        if (oldest_ == next_) return nullptr;
        reply_slot const& slot = ring_->replies[oldest_ % Slots];
        return slot.done.load(std::memory_order_acquire) == oldest_  // [ring] with reply()
                   ? &slot
                   : nullptr;
    }

    /// Hands the slots of oldest() back; its reply was there and was read.
    void pop_reply() noexcept {
        ++oldest_;
        skip_revoked();
    }

    /// The first position whose reply was not read; next() when nothing is outstanding.
    std::uint64_t oldest() const noexcept { return oldest_; }
    /// The position of the next call.
    std::uint64_t next() const noexcept { return next_; }

    /// What became of a call in [oldest(), next()). Final once the worker is dead or the answer is
    /// revoked or replied.
    fate look(std::uint64_t position) const noexcept {
        if (revoked_[position % Slots]) return fate::revoked;
        auto const& reply = ring_->replies[position % Slots];
        if (reply.done.load(std::memory_order_acquire) == position) {  // [ring] with reply()
            return fate::replied;
        }
        auto const& call = ring_->calls[position % Slots];
        auto const claim = call.claim.load(std::memory_order_relaxed);  // [ring] reads no field
        return claim == offered_claim(position) ? fate::offered : fate::taken;
    }

    /// Forgets what is outstanding, for a successor. Only when no process works on the ring.
    void restart() noexcept {
        oldest_ = next_;
        ring_->first.store(next_, std::memory_order_release);  // [ring] with work_side()
    }

private:
    void skip_revoked() noexcept {
        while (oldest_ != next_ && revoked_[oldest_ % Slots]) ++oldest_;
    }

    basic_ring_memory<Slots>* ring_;
    std::uint64_t next_ = 1;
    std::uint64_t oldest_ = 1;
    std::array<bool, Slots> revoked_{};  // of [oldest_, next_)
};

/// The worker's end.
template <std::size_t Slots>
class basic_work_side {
public:
    explicit basic_work_side(basic_ring_memory<Slots>& ring) noexcept
        : ring_(&ring), next_(ring.first.load(std::memory_order_acquire)) {}  // [ring] restart()

    /// The next call, which is then under way; null when there is none now. The slot is readable
    /// until reply().
    call_slot const* take() noexcept {
        for (;;) {
            call_slot& slot = ring_->calls[next_ % Slots];
            auto seen = slot.claim.load(std::memory_order_relaxed);  // [ring] the CAS acquires
            chaos_point();
            if (seen == offered_claim(next_) &&
                slot.claim.compare_exchange_strong(
                    seen, taken_claim(next_),
                    std::memory_order_acquire)) {  // [ring] with offer(), against revoke()
                ++next_;
                fetch_ahead();
                return &slot;
            }
            auto const position = seen / 4;
            if (position < next_) return nullptr;
            // Revoked, and perhaps offered again turns later: then all before that are over.
            next_ = position == next_ ? next_ + 1 : position - Slots + 1;
        }
    }

    /// Replies to the call that was taken last. `write_payload` gets the place for up to
    /// reply_slot::room bytes; if it throws, nothing was replied.
    template <class Write>
    void reply(std::uint64_t position, std::uint32_t kind, std::uint32_t bytes,
               Write&& write_payload) {
        reply_slot& slot = ring_->replies[position % Slots];
        write_payload(&slot.payload[0]);
        slot.bytes = bytes;
        slot.kind = kind;
        chaos_point();
        slot.done.store(position,
                        std::memory_order_release);  // [ring] fields before, with next_reply()
    }

private:
    /// While this call runs, the lines of the calls behind it and of their replies come here, to be
    /// written to. A line that the other process has in its cache costs as much as a short task.
    void fetch_ahead() noexcept {
        constexpr std::uint64_t ahead = 3;
        prefetch_to_write(&ring_->calls[(next_ + ahead) % Slots]);
        prefetch_to_write(&ring_->replies[(next_ + ahead) % Slots]);
    }

    basic_ring_memory<Slots>* ring_;
    std::uint64_t next_;
};

using call_side = basic_call_side<ring_slots>;
using work_side = basic_work_side<ring_slots>;

}  // namespace concur::inline v0::detail

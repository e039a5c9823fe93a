// SPDX-License-Identifier: BSL-1.0
// The work-stealing deque of one worker: the owner pushes and pops at the bottom, thieves take from
// the top. After D. Chase and Y. Lev, "Dynamic Circular Work-Stealing Deque" (SPAA 2005), with the
// memory orders of N. M. Lê et al., "Correct and Efficient Work-Stealing for Weak Memory Models"
// (PPoPP 2013), fences folded into seq_cst accesses, because ThreadSanitizer knows no fences.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include <concur/detail/base/chaos.hpp>
#include <concur/detail/base/config.hpp>

namespace concur::inline v0::detail {

// Protocol [deque]
//
//   slots [top, bottom)  hold items; positions only ever name one slot of the ring
//   owner                pushes at bottom, pops at bottom - 1
//   thief                takes top, by moving top up
//
// Invariant  an item leaves once: through the compare-exchange on top, or through the owner's pop
//            while bottom - 1 > top. Only for the last item do both meet, and top decides.
// Order      push: slot before bottom (release); steal reads bottom (seq_cst) before the slot.
//            pop stores bottom (seq_cst), then reads top (seq_cst); steal reads top, then bottom
//            (both seq_cst): of an owner and a thief at the last item at least one sees the other.
// Positions  what is pushed after the owner took a mark with bottom_below() lies at or above it;
//            items below it stay until they are taken. waiting.hpp builds on that.
// Death      threads of one process only. Outgrown rings live as long as the deque, for a thief may
//            still read from them.
template <class T>
class work_deque {
public:
    work_deque() : ring_(make_ring(256, nullptr)) {}
    ~work_deque() {
        ring* r = ring_.load();
        while (r) delete std::exchange(r, r->older);
    }
    work_deque(work_deque const&) = delete;
    work_deque& operator=(work_deque const&) = delete;

    /// Owner only. Cost: no read-modify-write; allocates when the ring is full.
    void push(T* item) {
        auto const b = bottom_.load(std::memory_order_relaxed);  // [deque] own writes
        auto const t = top_.load(std::memory_order_acquire);     // [deque] with steal()'s CAS
        ring* r = ring_.load(std::memory_order_relaxed);         // [deque] own writes
        if (b - t > r->mask) r = grow(*r, t, b);
        r->at(b).store(item, std::memory_order_relaxed);  // [deque] published by bottom
        chaos_point();
        bottom_.store(b + 1,
                      std::memory_order_release);  // [deque] slot before bottom, with steal()
    }

    /// Owner only: the item pushed last, or null.
    T* pop() noexcept {
        auto const b = bottom_.load(std::memory_order_relaxed) - 1;    // [deque] own writes
        if (b < top_.load(std::memory_order_relaxed)) return nullptr;  // [deque] top only grows
        ring* const r = ring_.load(std::memory_order_relaxed);         // [deque] own writes
        bottom_.store(b);
        chaos_point();
        auto t = top_.load();
        if (t > b) {
            bottom_.store(b + 1, std::memory_order_relaxed);  // [deque] empty: undo
            return nullptr;
        }
        T* item = r->at(b).load(std::memory_order_relaxed);  // [deque] own writes
        if (t == b) {
            if (!top_.compare_exchange_strong(t, t + 1)) item = nullptr;
            bottom_.store(b + 1, std::memory_order_relaxed);  // [deque] empty: top decided
        }
        return item;
    }

    /// Owner only: pops `item` if it is the one pushed last.
    bool pop_if(T const* item) noexcept {
        auto const b = bottom_.load(std::memory_order_relaxed) - 1;  // [deque] own writes
        if (b < top_.load(std::memory_order_relaxed)) return false;  // [deque] top only grows
        ring* const r = ring_.load(std::memory_order_relaxed);       // [deque] own writes
        if (r->at(b).load(std::memory_order_relaxed) != item) return false;  // [deque] own writes
        return pop() != nullptr;
    }

    /// Any thread: the oldest item at position `mark` or above, or null. A null may be spurious,
    /// when another taker was faster.
    T* steal(std::int64_t mark = 0) noexcept {
        auto t = top_.load();
        chaos_point();
        auto const b = bottom_.load();
        if (t >= b || t < mark) return nullptr;
        ring* const r = ring_.load(std::memory_order_acquire);     // [deque] with grow()
        T* const item = r->at(t).load(std::memory_order_relaxed);  // [deque] CAS validates
        return top_.compare_exchange_strong(t, t + 1) ? item : nullptr;
    }

    /// Owner only: the position of the next push, once `item` is popped should it be the last.
    std::int64_t bottom_below(T const* item) const noexcept {
        auto const b = bottom_.load(std::memory_order_relaxed);          // [deque] own writes
        if (b <= top_.load(std::memory_order_relaxed)) return b;         // [deque] top only grows
        ring* const r = ring_.load(std::memory_order_relaxed);           // [deque] own writes
        auto const last = r->at(b - 1).load(std::memory_order_relaxed);  // [deque] own writes
        return last == item ? b - 1 : b;
    }

    /// Owner only: the position of the next push.
    std::int64_t bottom() const noexcept {
        return bottom_.load(std::memory_order_relaxed);  // [deque] own writes
    }

    /// Any thread; a moment's truth.
    bool empty() const noexcept { return top_.load() >= bottom_.load(); }

private:
    struct ring {
        std::int64_t mask;
        ring* older;
        std::unique_ptr<std::atomic<T*>[]> slots;
        std::atomic<T*>& at(std::int64_t position) noexcept {
            return slots[static_cast<std::size_t>(position & mask)];
        }
    };

    static ring* make_ring(std::int64_t size, ring* older) {
        std::unique_ptr<std::atomic<T*>[]> slots(
            new std::atomic<T*>[static_cast<std::size_t>(size)]);
        return new ring{size - 1, older, std::move(slots)};
    }

    ring* grow(ring& old, std::int64_t t, std::int64_t b) {
        ring* const r = make_ring((old.mask + 1) * 2, &old);
        for (auto i = t; i < b; ++i) {
            r->at(i).store(old.at(i).load(std::memory_order_relaxed),  // [deque] own writes
                           std::memory_order_relaxed);                 // [deque] published below
        }
        ring_.store(r, std::memory_order_release);  // [deque] slots before ring, with steal()
        return r;
    }

    alignas(cache_line) std::atomic<std::int64_t> top_{0};
    alignas(cache_line) std::atomic<std::int64_t> bottom_{0};
    std::atomic<ring*> ring_;
};

}  // namespace concur::inline v0::detail

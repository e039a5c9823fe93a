// SPDX-License-Identifier: BSL-1.0
// The batch that one worker has taken from outside: a small first-in-first-out ring that its owner
// fills when it is empty and that anybody may take from, so that a batch behind a long task is not
// stuck. First in, first out for thieves as well: outside tasks start in the order submitted.
#pragma once

#include <array>
#include <atomic>

#include <concur/detail/base/chaos.hpp>
#include <concur/detail/base/config.hpp>

namespace concur::inline v0::detail {

// Protocol [inbox]
//
//   [head, tail)  items; the owner moves tail up, whoever takes an item moves head up by CAS
//
// Invariant  positions only grow, so a slot that was read before a successful CAS on head was not
//            refilled meanwhile: the owner refills a slot only after head has passed it.
// Order      put: slot before tail (release), with take()'s acquire of tail; take: CAS on head
//            (acq_rel) after the slot was read, with the owner's acquire of head in room().
// Death      threads of one process only.
template <class T, std::size_t Capacity = 64>
class inbox {
public:
    static constexpr std::size_t capacity = Capacity;

    /// Owner only: adds an item; there must be room().
    void put(T* item) noexcept {
        auto const tail = tail_.load(std::memory_order_relaxed);         // [inbox] own writes
        slots_[tail % Capacity].store(item, std::memory_order_relaxed);  // [inbox] see tail
        chaos_point();
        tail_.store(tail + 1, std::memory_order_release);  // [inbox] slot before tail, with take()
    }

    /// Owner only: items that may be put.
    std::size_t room() const noexcept {
        auto const tail = tail_.load(std::memory_order_relaxed);           // [inbox] own writes
        return Capacity - (tail - head_.load(std::memory_order_acquire));  // [inbox] with take()
    }

    /// Any thread: the oldest item, or null.
    T* take() noexcept {
        auto head = head_.load(std::memory_order_relaxed);  // [inbox] CAS validates
        while (head != tail_.load()) {
            T* const item = slots_[head % Capacity].load(std::memory_order_relaxed);  // [inbox] CAS
            chaos_point();
            if (head_.compare_exchange_weak(head, head + 1)) return item;
        }
        return nullptr;
    }

    bool empty() const noexcept { return head_.load() == tail_.load(); }

private:
    alignas(cache_line) std::atomic<std::uint64_t> head_{0};
    std::atomic<std::uint64_t> tail_{0};
    std::array<std::atomic<T*>, Capacity> slots_{};
};

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// Where tasks from outside threads queue up: any number of producers, one exchange each; one
// consumer at a time, which takes a batch. Intrusive, so that pushing cannot fail. After D. Vyukov,
// "Intrusive MPSC node-based queue" (1024cores.net).
#pragma once

#include <atomic>

#include <concur/detail/base/chaos.hpp>
#include <concur/detail/base/config.hpp>

namespace concur::inline v0::detail {

/// What an item derives from to stand in a queue. The word is the queue's while the item is in it;
/// outside of queues its owner may use it for a number.
struct queue_link {
    std::atomic<std::uintptr_t> link{0};

    queue_link* next() const noexcept {
        return reinterpret_cast<queue_link*>(
            link.load(std::memory_order_acquire));  // [injection] with set_next()
    }
    void set_next(queue_link* item) noexcept {
        link.store(reinterpret_cast<std::uintptr_t>(item),
                   std::memory_order_release);  // [injection] with next()
    }
};

// Protocol [injection]
//
//   tail   the last item; producers exchange it, then link the item before it to theirs
//   head   the first item; only the holder of the consumer lock changes it
//
// Invariant  following next() from head reaches tail, but for producers between their exchange and
//            their set_next(): up to there the queue looks shorter, and empty() says false.
// Order      what a producer wrote before push() is seen by the consumer: set_next() and next().
//            push() is a seq_cst exchange, because a producer then looks for sleepers [idle].
// Death      threads of one process only.
class injection_queue {
public:
    /// A count for those who push, in the cache line that push() needs anyway: between two CPUs
    /// that submit, moving that line is most of the price.
    std::atomic<std::uint64_t>& announced() noexcept { return announced_; }
    std::atomic<std::uint64_t> const& announced() const noexcept { return announced_; }

    void push(queue_link& item) noexcept {
        item.link.store(0, std::memory_order_relaxed);  // [injection] published by set_next()
        queue_link* const before = tail_.exchange(&item);
        chaos_point();
        before->set_next(&item);
    }

    /// Gives the oldest items to `take`, `most` at most, and says how many. Zero also when another
    /// thread is at it, or when the oldest item is not linked yet.
    template <class Take>
    std::size_t take_batch(std::size_t most, Take&& take) {
        if (empty() || busy_.exchange(true, std::memory_order_acquire)) return 0;  // [injection]
        std::size_t taken = 0;
        while (taken < most) {
            queue_link* const item = pop();
            if (!item) break;
            take(*item);
            ++taken;
        }
        busy_.store(false, std::memory_order_release);  // [injection] consumer lock, with exchange
        return taken;
    }

    /// Waits until nobody is between taking an item and having handed it on.
    void wait_for_consumer() const noexcept {
        while (busy_.load(std::memory_order_acquire)) yield_thread();  // [injection] lock holder
    }

    /// False while an item is in it, or about to be: tail names the stub also when the consumer has
    /// pushed it behind items that it could not take yet; then head names one of them.
    bool empty() const noexcept { return tail_.load() == &stub_ && head_.load() == &stub_; }

private:
    queue_link* pop() noexcept {
        queue_link* first = head_.load(std::memory_order_relaxed);  // [injection] lock holder
        queue_link* second = first->next();
        if (first == &stub_) {
            if (!second) return nullptr;
            first = second;
            head_.store(first);
            second = first->next();
        }
        if (second) {
            head_.store(second);
            return first;
        }
        if (first != tail_.load()) return nullptr;
        chaos_point();
        push(stub_);  // the last item needs a successor before it can leave
        second = first->next();
        if (!second) return nullptr;
        head_.store(second);
        return first;
    }

    alignas(cache_line) std::atomic<queue_link*> tail_{&stub_};
    std::atomic<std::uint64_t> announced_{0};
    alignas(cache_line) std::atomic<queue_link*> head_{&stub_};
    std::atomic<bool> busy_{false};
    queue_link stub_;
};

}  // namespace concur::inline v0::detail

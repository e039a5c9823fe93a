// SPDX-License-Identifier: BSL-1.0
// A bounded queue in memory that processes share: any number may push and pop, and may be killed at
// any instruction. No lock; no system call, except to find out who is dead when a kill left too
// little. Cost: three atomic updates per push, one per pop, and the item is copied once each way.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstring>
#include <new>
#include <optional>
#include <type_traits>

#include <concur/detail/base/chaos.hpp>
#include <concur/detail/base/config.hpp>
#include <concur/detail/ipc/process_mark.hpp>
#include <concur/detail/ipc/queue_memory.hpp>

namespace concur::inline v0::detail {

// Protocol [ipc-queue]
//
// Items stand in nodes; there are `capacity` slots, and some nodes more than slots. A slot always
// names a node. A push fills a node that no slot names and exchanges it for the slot's; a pop
// copies the slot's node and leaves it where it is. So whoever pops holds nothing at any time, and
// whoever pushes one node at most.
//
//   slot: stage, node          meaning                        who moves it on
//   2 * turn,     old node     item (turn, slot) may come     a push, to 2 * turn + 1 and its node
//   2 * turn + 1, node         the item is there, readable    a pop, to 2 * (turn + 1), same node
//
//   state of a node            meaning                        who moves it on
//   free, version              in nobody's hands              a push, to its owner and version + 1
//   owner, version             its owner fills it, or         the push that took it out of its
//                              a slot names it                slot, or whoever does that for it
//   0                          never used: of the first `capacity` nodes in its slot, else free
//
// Invariant  everything before the position in tail has been pushed, before that in head popped: so
//            they may lag, or be set back by whoever was slow, and only cost a search (see
//            further()). Pushes and pops go through the positions in order, for each knows that the
//            one before is done; the one CAS of a slot is when they happen.
//            A node in the owner's hands is written by its owner only; one that a slot names, by
//            nobody. No slot has the same word twice (stages count to 2^40), so a copy is whole if
//            the slot had the same word before and after it: the CAS of the pop is the proof.
// Move       before its exchange a push notes in its node: the slot, the node that will come out,
//            and that node's state. Once a slot is seen to name the node, that note is a fact, and
//            anybody may set the old node free, by a CAS from the noted state: the version lets it
//            happen once. Each push does so for its predecessor in the slot before it overwrites
//            it, so no note is lost that somebody still needs.
// Order      node before slot: written with release, then the slot's CAS; read after an acquire of
//            the slot. Words of a node are read with acquire: one that is too new brings with it
//            that the slot has changed, so that the second look at the slot sees it. A node is
//            freed with release and taken with acquire.
// Death      of a pop: before its CAS nothing happened, after it the item is gone with it. Of a
//            push before its exchange: its node stays in dead hands. When no node is free, whoever
//            needs one looks for such: the owner is dead, and then still no slot names the node (in
//            this order: the dead push no longer). After its exchange: the item is there; see Move.
//            A process that execs in the middle of a push counts as alive until it ends.
// Users      any thread of any process that sees the same pids. Forked copies are other processes.
// Model      tests/model/queue.pml

/// One process's view of such a queue, whatever the items are. Copies are views of the same.
class queue_view {
public:
    /// Of nothing: only to be assigned to.
    queue_view() noexcept = default;
    /// At the start of zeroed memory of shape.bytes(), or of a queue of the same shape.
    queue_view(std::byte* memory, queue_shape shape) noexcept
        : memory_(reinterpret_cast<queue_memory*>(memory)),
          slots_(reinterpret_cast<std::atomic<std::uint64_t>*>(memory + sizeof(queue_memory))),
          nodes_(memory + shape.nodes_at()),
          shape_(shape) {}

    /// False: full; or as many pushes as there are spare nodes stand still, and none is dead.
    /// `write` gets the node and must not throw.
    template <class Write>
    bool push(Write&& write) noexcept {
        auto mine = none;
        auto at = memory_->tail.load(std::memory_order_acquire);  // [ipc-queue] with our store
        for (;;) {
            auto& slot = slots_[index_of(at)];
            auto const seen = slot.load(std::memory_order_acquire);  // [ipc-queue] with both CAS
            auto const lead = lead_of(seen, at);
            if (lead > 0) {
                at = further(at, 0);
                continue;
            }
            if (lead < 0) {  // still full of the turn before
                if (mine != none) give_back(mine);
                return false;
            }
            if (mine == none) {
                mine = take_node();
                if (mine == none) return false;
                chaos_point();
                write(node(mine));
            }
            if (exchange(slot, index_of(at), seen, mine)) {
                chaos_point();
                memory_->tail.store(plus(at, 1),
                                    std::memory_order_release);  // [ipc-queue] this one is done
                return true;
            }
        }
    }

    /// False: empty. `read` gets the node and must not throw; it may be called for a node that
    /// changes meanwhile, and is then called again.
    template <class Read>
    bool pop(Read&& read) noexcept {
        auto at = memory_->head.load(std::memory_order_acquire);  // [ipc-queue] with our store
        for (;;) {
            auto& slot = slots_[index_of(at)];
            auto seen = slot.load(std::memory_order_acquire);  // [ipc-queue] with both CAS
            auto const lead = lead_of(seen, at);
            if (lead <= 0) return false;
            if (lead > 1) {
                at = further(at, 1);
                continue;
            }
            read(node(node_of(seen, index_of(at))));
            chaos_point();
            // One stage further: the carry goes into the turn.
            if (slot.compare_exchange_strong(
                    seen, seen + full,
                    std::memory_order_acq_rel,     // [ipc-queue] the copy came before
                    std::memory_order_relaxed)) {  // [ipc-queue] looks again
                chaos_point();
                memory_->head.store(plus(at, 1),
                                    std::memory_order_release);  // [ipc-queue] this one is done
                return true;
            }
        }
    }

    /// Exact when nobody pushes or pops meanwhile, also after kills; else of a moment ago.
    std::size_t size() const noexcept {
        auto const first = settled(memory_->head, 1);
        auto const last = settled(memory_->tail, 0);
        auto const turns = (stage_of(last) - stage_of(first)) / 2 & (stages / 2 - 1);
        auto const items = turns * shape_.capacity + index_of(last) - index_of(first);
        return items < shape_.capacity ? items : shape_.capacity;
    }

    /// How many spare nodes can be had: all of them, when no push is under way. For tests.
    [[gnu::cold]] std::uint32_t spare_nodes() noexcept {
        std::uint32_t got[queue_hints + 1];
        std::uint32_t count = 0;
        for (int round = 0; round != 2; ++round) {  // what the first set free the second finds
            while (count <= queue_hints && (got[count] = search()) != none) ++count;
        }
        for (std::uint32_t i = 0; i != count; ++i) give_back(got[i]);
        return count;
    }

    bool same_as(queue_view const& other) const noexcept { return memory_ == other.memory_; }
    queue_shape const& shape() const noexcept { return shape_; }

private:
    // A slot is: stage * full + (node - slot) % most_nodes. A position is: stage at which the push
    // finds the slot * full + slot.
    static constexpr std::uint64_t full = queue_shape::most_nodes;
    static constexpr std::uint64_t stages = std::uint64_t{1} << 40;
    static constexpr std::uint64_t written = std::uint64_t{1} << 63;  // in queue_node::move
    static constexpr std::uint32_t free_mark = 1u << mark_pid_bits;   // no process has pid 0
    static constexpr std::uint32_t none = ~0u;

    static constexpr std::uint64_t stage_of(std::uint64_t word) noexcept { return word / full; }
    static constexpr std::uint32_t index_of(std::uint64_t word) noexcept { return word % full; }
    static constexpr std::uint32_t node_of(std::uint64_t slot, std::uint32_t index) noexcept {
        return (slot + index) % full;
    }
    static constexpr std::uint64_t with_owner(std::uint64_t state, std::uint32_t owner) noexcept {
        return ((state >> 32) + 1) << 32 | owner;
    }

    queue_node& node(std::uint32_t index) const noexcept {
        return *reinterpret_cast<queue_node*>(nodes_ + index * shape_.stride);
    }
    bool is_free(std::uint32_t index, std::uint64_t state) const noexcept {
        return static_cast<std::uint32_t>(state) == free_mark ||
               (state == 0 && index >= shape_.capacity);
    }

    /// So many stages is the slot of a position further than a push there would find it.
    static constexpr std::int64_t lead_of(std::uint64_t slot, std::uint64_t at) noexcept {
        // Both mod 2^40: the difference, shifted to the sign and back.
        return static_cast<std::int64_t>((slot / full - at / full) * full) /
               static_cast<std::int64_t>(full);
    }
    std::int64_t lead_at(std::uint64_t at) const noexcept {
        return lead_of(slots_[index_of(at)].load(std::memory_order_acquire),  // [ipc-queue] CAS
                       at);
    }
    /// n <= capacity
    std::uint64_t plus(std::uint64_t at, std::uint32_t n) const noexcept {
        auto const next = at + n;
        return index_of(at) + n < shape_.capacity ? next : next - shape_.capacity + 2 * full;
    }

    /// The first position that is not done, when the slot at `at` leads by more than `lag`: that
    /// is, it was pushed (lag 0), or popped (lag 1). In steps that double: what a slow process has
    /// set back long ago is found again in a few.
    std::uint64_t further(std::uint64_t at, std::int64_t lag) const noexcept {
        auto const turns = (lead_at(at) - 1 - lag) / 2;  // done at this slot since
        at += static_cast<std::uint64_t>(turns) * 2 * full;
        std::uint32_t step = 1;
        while (lead_at(plus(at, step)) > lag) {
            at = plus(at, step);
            step = step < shape_.capacity / 2 ? 2 * step : shape_.capacity;
        }
        while (step > 1) {
            auto const half = step / 2;
            if (lead_at(plus(at, half)) > lag) {
                at = plus(at, half);
                step -= half;
            } else {
                step = half;
            }
        }
        return plus(at, 1);
    }

    std::uint64_t settled(std::atomic<std::uint64_t> const& position,
                          std::int64_t lag) const noexcept {
        auto const at = position.load(std::memory_order_acquire);  // [ipc-queue] with its stores
        return lead_at(at) > lag ? further(at, lag) : at;
    }

    bool exchange(std::atomic<std::uint64_t>& slot, std::uint32_t index, std::uint64_t seen,
                  std::uint32_t mine) noexcept {
        auto const old = node_of(seen, index);
        auto const old_state =
            node(old).state.load(std::memory_order_acquire);  // [ipc-queue] true if the CAS works
        finish(slot, seen, old);
        chaos_point();
        node(mine).move.store(
            written | std::uint64_t{old} << 32 | index,
            std::memory_order_release);  // [ipc-queue] a word of the node, like the next
        node(mine).replaced_state.store(old_state, std::memory_order_release);  // [ipc-queue]
        chaos_point();
        auto const wanted = (stage_of(seen) + 1) * full + (mine - index) % full;
        if (!slot.compare_exchange_strong(seen, wanted,
                                          std::memory_order_acq_rel,     // [ipc-queue] the item
                                          std::memory_order_relaxed)) {  // [ipc-queue] looks again
            return false;
        }
        chaos_point();
        set_free(old, old_state);
        return true;
    }

    /// Sets free what the push that put `resident` into the slot should have set free. Nothing if
    /// the slot is no longer as `seen`.
    void finish(std::atomic<std::uint64_t>& slot, std::uint64_t seen,
                std::uint32_t resident) noexcept {
        queue_node& there = node(resident);
        auto const move = there.move.load(std::memory_order_acquire);  // [ipc-queue] a node's word
        auto const state =
            there.replaced_state.load(std::memory_order_acquire);  // [ipc-queue] the same
        if ((move & written) == 0) return;
        auto const old = static_cast<std::uint32_t>(move >> 32) % most_nodes;
        if (node(old).state.load(std::memory_order_relaxed) != state) return;  // [ipc-queue] done
        chaos_point();
        // Only now is it sure that the note was a fact.
        if (slot.load(std::memory_order_relaxed) == seen) set_free(old, state);  // [ipc-queue] 2nd
    }

    /// The node came out of a slot, where its state was `state`. Once, whoever tries.
    void set_free(std::uint32_t index, std::uint64_t state) noexcept {
        if (node(index).state.compare_exchange_strong(
                state, with_owner(state, free_mark),
                std::memory_order_acq_rel,     // [ipc-queue] with try_take()
                std::memory_order_relaxed)) {  // [ipc-queue] somebody else did it
            remember(index);
        }
    }

    /// A node that was not used after all. Nobody else touches it.
    void give_back(std::uint32_t mine) noexcept {
        auto& state = node(mine).state;
        state.store(
            with_owner(state.load(std::memory_order_relaxed), free_mark),  // [ipc-queue] our own
            std::memory_order_release);  // [ipc-queue] with try_take()
        remember(mine);
    }

    /// Where this thread looks first; threads of forked processes have equal addresses.
    std::uint32_t own_hint() const noexcept {
        auto const who = (pthread_self() >> 6) ^ std::uint64_t{process_mark()} << 24;
        return static_cast<std::uint32_t>(who * 0x9e3779b97f4a7c15u >> 58);
    }
    std::uint32_t hinted(std::uint32_t hint) const noexcept {
        auto const known =
            memory_->hints[hint].node.load(std::memory_order_relaxed);  // [ipc-queue] a hint
        return known != 0 ? known - 1 : shape_.capacity + hint;
    }
    bool is_free_now(std::uint32_t index) const noexcept {
        return index < shape_.nodes &&
               is_free(index, node(index).state.load(std::memory_order_relaxed));  // [ipc-queue]
    }

    void remember(std::uint32_t index) noexcept {
        // A hint that still leads to a free node is left alone, if another is at hand.
        auto hint = own_hint();
        for (std::uint32_t i = 0; i != 8 && is_free_now(hinted(hint)); ++i) {
            hint = (hint + 1) % queue_hints;
        }
        memory_->hints[hint].node.store(index + 1, std::memory_order_relaxed);  // [ipc-queue]
    }

    bool try_take(std::uint32_t index) noexcept {
        auto& state = node(index).state;
        auto seen = state.load(std::memory_order_relaxed);  // [ipc-queue] CAS decides
        return is_free(index, seen) && try_take(index, seen);
    }
    bool try_take(std::uint32_t index, std::uint64_t seen) noexcept {
        return node(index).state.compare_exchange_strong(
            seen, with_owner(seen, process_mark()),
            std::memory_order_acq_rel,   // [ipc-queue] with set_free()
            std::memory_order_relaxed);  // [ipc-queue] somebody else got it
    }

    std::uint32_t take_node() noexcept {
        constexpr int rounds = 64;
        for (int round = 0; round != rounds; ++round) {
            auto const first = own_hint();
            for (std::uint32_t i = 0; i != queue_hints; ++i) {
                auto const index = hinted((first + i) % queue_hints);
                if (index < shape_.nodes && try_take(index)) return index;
            }
            // Those that hold them are mostly about to give them back.
            if (round % 16 == 1) {
                if (auto const index = search(); index != none) return index;
            }
            yield_thread();
        }
        return none;
    }

    /// Looks at every node: takes the first that is free, and lets hints lead to the others.
    [[gnu::cold, gnu::noinline]] std::uint32_t search() noexcept {
        auto found = none;
        for (std::uint32_t index = 0; index != shape_.nodes; ++index) {
            // Nobody has used its slot yet: its page need not be touched.
            if (index < shape_.capacity &&
                slots_[index].load(std::memory_order_relaxed) == 0) {  // [ipc-queue] or next time
                continue;
            }
            auto const state =
                node(index).state.load(std::memory_order_acquire);  // [ipc-queue] with set_free()
            if (is_free(index, state)) {
                if (found != none) {
                    remember(index);
                } else if (try_take(index, state)) {
                    found = index;
                }
            } else if (state != 0) {
                if (finish_if_there(index)) continue;
                if (found == none && try_inherit(index, state)) found = index;
            }
        }
        return found;
    }

    /// True: a slot names the node. What its push may have left to do is done.
    bool finish_if_there(std::uint32_t index) noexcept {
        auto const place = index_of(
            node(index).move.load(std::memory_order_acquire));  // [ipc-queue] a word of a node
        auto& slot = slots_[place];
        auto const seen = slot.load(std::memory_order_acquire);  // [ipc-queue] with both CAS
        if (node_of(seen, place) != index) return false;
        finish(slot, seen, index);
        return true;
    }

    /// Takes over what a dead process holds.
    bool try_inherit(std::uint32_t index, std::uint64_t state) noexcept {
        if (!is_dead(static_cast<std::uint32_t>(state))) return false;
        // It may have put it into a slot before it died; from now on it does not.
        if (finish_if_there(index)) return false;
        return try_take(index, state);
    }

    static constexpr std::uint32_t most_nodes = queue_shape::most_nodes;

    queue_memory* memory_ = nullptr;
    std::atomic<std::uint64_t>* slots_ = nullptr;
    std::byte* nodes_ = nullptr;
    queue_shape shape_{1, 1};
};

/// The same for items of a certain type.
template <class T>
class typed_queue_view : public queue_view {
    static_assert(std::is_trivially_copyable_v<T>);

public:
    typed_queue_view() noexcept = default;
    typed_queue_view(std::byte* memory, std::uint32_t capacity) noexcept
        : queue_view(memory, queue_shape(capacity, sizeof(T))) {}

    bool push(T const& item) noexcept {
        return queue_view::push([&item](queue_node& node) {
            auto const* from = reinterpret_cast<std::byte const*>(&item);
            auto* word = node.words();
            for (auto left = sizeof(T);; from += 8, ++word) {
                std::uint64_t bits = 0;
                std::memcpy(&bits, from, left < 8 ? left : 8);
                word->store(bits, std::memory_order_release);  // [ipc-queue] a word of a node
                if (left <= 8) break;
                left -= 8;
            }
        });
    }

    std::optional<T> pop() noexcept {
        alignas(T) std::byte item[sizeof(T)];
        bool const there = queue_view::pop([&item](queue_node& node) {
            auto* to = &item[0];
            auto* word = node.words();
            for (auto left = sizeof(T);; to += 8, ++word) {
                auto const bits = word->load(std::memory_order_acquire);  // [ipc-queue] a word
                std::memcpy(to, &bits, left < 8 ? left : 8);
                if (left <= 8) break;
                left -= 8;
            }
        });
        if (!there) return std::nullopt;
        return *std::launder(reinterpret_cast<T*>(&item[0]));
    }
};

}  // namespace concur::inline v0::detail

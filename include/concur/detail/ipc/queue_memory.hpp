// SPDX-License-Identifier: BSL-1.0
// What stands where in a queue between processes: see queue.hpp for who may do what with it.
#pragma once

#include <atomic>

#include <concur/detail/base/config.hpp>

namespace concur::inline v0::detail {

struct queue_node {
    std::atomic<std::uint64_t> state;           // low half: owner's process_mark(); high: version
    std::atomic<std::uint64_t> move;            // written; node that comes out; slot
    std::atomic<std::uint64_t> replaced_state;  // of the node that comes out
    // The item, in words.

    std::atomic<std::uint64_t>* words() noexcept {
        return reinterpret_cast<std::atomic<std::uint64_t>*>(this + 1);
    }
};

/// Where a free node may be: wrong ones cost time, never correctness.
struct alignas(cache_line) queue_hint {
    std::atomic<std::uint32_t> node;  // from 1 on; 0: the spare node of the same number
};

inline constexpr std::uint32_t queue_hints = 64;

/// The part in shared memory; the slots follow, then the nodes. Zeroed memory is an empty queue.
struct queue_memory {
    alignas(cache_line) std::atomic<std::uint64_t> tail;
    std::uint64_t capacity;  // told by whoever made it; the views bring their own
    alignas(cache_line) std::atomic<std::uint64_t> head;
    queue_hint hints[queue_hints];
};

static_assert(sizeof(queue_node) == 24 && sizeof(queue_memory) == 64 * (2 + queue_hints));
static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "shared memory has no locks");

/// What stands where, by capacity and size of an item.
struct queue_shape {
    static constexpr std::uint32_t most_nodes = 1u << 24;
    static constexpr std::uint32_t most_items = most_nodes - queue_hints;

    /// 1 <= capacity <= most_items.
    constexpr queue_shape(std::uint32_t items, std::size_t item_bytes) noexcept
        : capacity(items), stride(stride_of(item_bytes)), nodes(items + spares_of(stride)) {}

    /// SIZE_MAX: more than there can be.
    constexpr std::size_t bytes() const noexcept {
        std::size_t all = 0;
        return __builtin_mul_overflow(stride, nodes, &all) ||
                       __builtin_add_overflow(all, nodes_at(), &all)
                   ? SIZE_MAX
                   : all;
    }

    /// Neighbours do not share a line, except small ones.
    static constexpr std::size_t stride_of(std::size_t item_bytes) noexcept {
        auto const unit = item_bytes > 8 ? cache_line : cache_line / 2;
        if (item_bytes > SIZE_MAX / 2) return SIZE_MAX / 2;
        return (sizeof(queue_node) + item_bytes + unit - 1) / unit * unit;
    }

    constexpr std::size_t nodes_at() const noexcept {
        auto const end = sizeof(queue_memory) + sizeof(std::uint64_t) * capacity;
        return (end + cache_line - 1) / cache_line * cache_line;
    }

    std::uint32_t capacity;
    std::size_t stride;   // from node to node
    std::uint32_t nodes;  // slots and spares

private:
    /// How many pushes may be under way at once, the dead included: fewer when they cost much.
    static constexpr std::uint32_t spares_of(std::size_t stride) noexcept {
        auto const affordable = (std::size_t{256} << 10) / stride;
        return affordable > queue_hints ? queue_hints
               : affordable < 8         ? 8
                                        : static_cast<std::uint32_t>(affordable);
    }
};

}  // namespace concur::inline v0::detail

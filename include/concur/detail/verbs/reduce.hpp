// SPDX-License-Identifier: BSL-1.0
// reduce: a tree over the positions that depends on their number only, so that the result is the
// same, to the last bit, on every executor, with any number of workers and any chunk size.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <concur/detail/verbs/loop.hpp>

namespace concur::inline v0::detail {

// Protocol [tree]
//
//   partial[i]  the value of the leaves from i on that have been joined; owned by the thread that
//               brought it there
//   met[i]      set by the first of the two threads that come to the join at whose right side leaf
//   i
//               starts; the second one joins, for then both sides are there
//
// Order       the exchange on met releases the first side's value and acquires it for the second.
template <class T, class Op>
class reduction_tree {
public:
    reduction_tree(std::size_t leaves, Op const& op)
        : partial_(leaves), met_(std::make_unique<std::atomic<bool>[]>(leaves)), op_(op) {}

    /// A leaf's value is there: joins upwards as far as the neighbours are there too.
    void put(std::size_t leaf, T value) {
        partial_[leaf].emplace(std::move(value));
        auto const leaves = partial_.size();
        for (std::size_t step = 1; step < leaves; step *= 2) {
            auto const left = leaf / (2 * step) * (2 * step);
            auto const right = left + step;
            if (right >= leaves) continue;  // no neighbour: goes up alone
            if (!met_[right].exchange(true, std::memory_order_acq_rel)) return;  // [tree]
            partial_[left].emplace(
                static_cast<T>(op_(std::move(*partial_[left]), std::move(*partial_[right]))));
            partial_[right].reset();
            leaf = left;
        }
    }

    T take() { return std::move(*partial_.front()); }

private:
    std::vector<std::optional<T>> partial_;
    std::unique_ptr<std::atomic<bool>[]> met_;
    Op const& op_;
};

/// Joins `value(position)` for all positions below `size`, with init in front.
/// The tree: up to 1024 leaves of equal length, folded from the left, then joined in pairs.
template <class T, class Op, class Value>
T run_reduction(executor_core& core, std::size_t size, loop_options options, Op const& op, T init,
                Value const& value) {
    constexpr std::size_t most_leaves = 1024;
    auto const length = size / most_leaves + (size % most_leaves != 0 ? 1 : 0);
    auto const leaves = size == 0 ? 0 : (size - 1) / length + 1;
    reduction_tree<T, Op> tree(leaves, op);
    auto const timeout = std::exchange(options.timeout, std::nullopt);  // of items, not of blocks
    options.block = length;
    options.items = size;
    auto const item = [&](std::size_t position) -> decltype(auto) {
        this_task_context->position = item_position{position};
        return value(position);
    };
    auto const limited = [&](std::size_t position) -> decltype(auto) {
        this_task_context->position = item_position{position};
        return item_limit::call(*timeout, [&]() -> decltype(auto) { return value(position); });
    };
    auto const fold = [&](auto const& get, std::size_t first, std::size_t last) {
        T folded = static_cast<T>(get(first));
        for (auto i = first + 1; i != last; ++i) {
            folded = static_cast<T>(op(std::move(folded), get(i)));
        }
        return folded;
    };
    run_loop(core, leaves, options, [&](std::size_t block) {
        auto const first = block * length;
        auto const last = std::min(first + length, size);
        tree.put(block, timeout ? fold(limited, first, last) : fold(item, first, last));
    });
    if (size == 0) return init;
    return static_cast<T>(op(std::move(init), tree.take()));
}

}  // namespace concur::inline v0::detail

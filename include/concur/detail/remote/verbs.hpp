// SPDX-License-Identifier: BSL-1.0
// How an executor of other processes makes jobs: the verbs are those of every executor, what they
// are given has to travel.
#pragma once

#include <span>  // the smallest standard header that brings the range concepts
#include <utility>
#include <vector>

#include <concur/detail/remote/map.hpp>
#include <concur/detail/remote/task.hpp>
#include <concur/detail/verbs/verbs.hpp>

namespace concur::inline v0::detail {

/// f for its effects only.
template <class F>
struct effect_of {
    F f;
    template <class... Items>
        requires item_function<F, Items...>
    void operator()(Items&&... items) const {
        static_cast<void>(call_item(f, std::forward<Items>(items)...));
    }
};

/// The items of one leaf of a reduction, and where in the input they begin.
template <class Item>
struct leaf_items {
    std::uint64_t first = 0;
    std::vector<Item> items;

    std::size_t size() const noexcept { return items.size(); }
    Item take(std::size_t i) { return std::move(items[i]); }
};
/// The same of numbers that count up.
template <class Item>
struct counted_leaf {
    std::uint64_t first = 0;
    std::uint64_t items = 0;
    Item from = 0;

    std::size_t size() const noexcept { return static_cast<std::size_t>(items); }
    Item take(std::size_t i) const noexcept { return counted_slice<Item>(from).get(i); }
};

/// The leaves of a range: at most 1024, of equal length.
template <class Range>
class leaves_of {
    using kept = typename kept_input<Range>::type;
    using item = std::ranges::range_value_t<kept>;

public:
    using leaf = std::conditional_t<counts_up<kept>, counted_leaf<item>, leaf_items<item>>;

    static std::vector<leaf> read(Range&& range) {
        if constexpr (position_range<Range>) {
            auto from = std::ranges::begin(range);
            auto const n = std::ranges::end(range) - from;
            return cut(from, n > 0 ? static_cast<std::size_t>(n) : 0);
        } else {
            std::vector<item> items;
            for (auto&& each : range) items.emplace_back(std::forward<decltype(each)>(each));
            return cut(std::make_move_iterator(items.begin()), items.size());
        }
    }

private:
    template <class Iterator>
    static std::vector<leaf> cut(Iterator from, std::size_t size) {
        constexpr std::size_t most = 1024;
        auto const length = size / most + (size % most != 0 ? 1 : 0);
        std::vector<leaf> leaves;
        for (std::size_t first = 0, n = 0; first != size; first += n) {
            n = std::min(length, size - first);
            if constexpr (counts_up<kept>) {
                leaves.push_back({first, n, *from});
                from += static_cast<std::iter_difference_t<Iterator>>(n);
            } else {
                auto& items = leaves.emplace_back(leaf{first, {}}).items;
                items.reserve(n);
                for (std::size_t i = 0; i != n; ++i, ++from) items.emplace_back(*from);
            }
        }
        return leaves;
    }
};

/// f over the items of a leaf, joined from the left.
template <class T, class F, class Op>
struct leaf_fold {
    F f;
    Op op;
    template <class Leaf>
    T operator()(Leaf leaf) const {
        auto& context = *this_task_context;
        auto const at = [&](std::size_t i) -> T {
            context.position = item_position{leaf.first + i};
            return static_cast<T>(call_item(f, leaf.take(i)));
        };
        T folded = at(0);
        auto const size = leaf.size();
        for (std::size_t i = 1; i != size; ++i) {
            folded = static_cast<T>(op(std::move(folded), at(i)));
        }
        return folded;
    }
};

/// The values of the leaves, joined as reduction_tree does, with init in front.
template <class T, class Op>
struct tree_join {
    Op op;
    T operator()(std::vector<T> leaves, T init) const {
        for (std::size_t step = 1; step < leaves.size(); step *= 2) {
            for (std::size_t left = 0; left + step < leaves.size(); left += 2 * step) {
                leaves[left] =
                    static_cast<T>(op(std::move(leaves[left]), std::move(leaves[left + step])));
            }
        }
        return static_cast<T>(op(std::move(init), std::move(leaves.front())));
    }
};

struct travelling {
    static constexpr bool travels = true;

    template <class Core, class F, class... Args>
    static constexpr bool check_submit() {
        if constexpr (detail::check_submit<Core, F, Args...>()) {
            using result = typename rules_for<F, Args...>::result_type;
            return travel_check<std::decay_t<F>, result,
                                travelling_types<std::decay_t<Args>...>>::check();
        }
        return false;
    }
    template <class, class F, class... Args>
    using result = typename rules_for<F, Args...>::result_type;
    template <result_use Use, bool Extras, class Core, class F, class... Args>
    static state& start_task(Core& core, task_options* options, F&& f, Args&&... args) {
        return start_remote_task<Use, Extras>(core, options, std::forward<F>(f),
                                              std::forward<Args>(args)...);
    }

    template <class F, class... Ranges>
    using source = streamed_source<item_cell, Ranges...>;

    template <class Core, class F, class... Ranges>
    static constexpr bool check_items() {
        constexpr bool ranges = sizeof...(Ranges) != 0 && (std::ranges::input_range<Ranges> && ...);
        static_assert(ranges, "map(f, ranges...): the arguments behind f must be input ranges");
        if constexpr (ranges) {
            constexpr bool callable = source<F, Ranges...>::template accepts<F>;
            static_assert(callable,
                          "map(f, ranges...): f cannot be called with copies of the elements of "
                          "these ranges (as rvalues: in another process there is nothing to refer "
                          "to; and as const, for it is shared)");
            if constexpr (callable) {
                using result = item_result<Core, F, Ranges...>;
                static_assert(!coroutine_type<result>,
                              "map(f, ranges...): f is a coroutine function, which needs an "
                              "event_loop; this executor runs plain functions");
                return travel_check<F, result,
                                    types<typename kept_input<Ranges>::value_type...>>::check();
            }
        }
        return false;
    }
    template <class F, class... Ranges>
    struct result_of_items {
        using type = std::decay_t<typename source<F, Ranges...>::template result<F>>;
    };
    template <class, class F, class... Ranges>
    using item_result = typename result_of_items<F, Ranges...>::type;
    template <class Core, class F, class... Ranges>
    using map_of = far_map_run<item_result<Core, F, Ranges...>, F, Ranges...>;
    template <class F>
    using without_result = effect_of<F>;

    /// A tree of leaves as run_reduction has it: leaves in the workers, then their join in one.
    template <class Executor, class F, class Op, class Range, class T>
    static T map_reduce(Executor& ex, map_options options, F&& f, Op&& op, Range&& range, T init) {
        using leaves = leaves_of<Range>;
        using fold = leaf_fold<T, std::decay_t<F>, std::decay_t<Op>>;
        using join_type = tree_join<T, std::decay_t<Op>>;
        if constexpr (travel_check<fold, T, types<typename leaves::leaf>>::check()) {
            auto read = leaves::read(std::forward<Range>(range));
            if (read.empty()) return init;
            task_options joining{.name = options.name, .priority = options.priority};
            auto values =
                ex.map(std::move(options), fold{std::forward<F>(f), op}, std::move(read)).collect();
            return ex.submit(std::move(joining), join_type{op}, std::move(values), std::move(init))
                .get();
        }
        return init;
    }
};

}  // namespace concur::inline v0::detail

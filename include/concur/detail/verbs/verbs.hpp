// SPDX-License-Identifier: BSL-1.0
// The verbs of every executor, written once. A class derives from executor_verbs<itself> and has a
// core() that gives its executor_core; nothing more is needed.
#pragma once

#include <concepts>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <concur/detail/verbs/loop.hpp>
#include <concur/detail/verbs/reduce.hpp>
#include <concur/detail/verbs/source.hpp>
#include <concur/detail/verbs/submit.hpp>
#include <concur/executor.hpp>
#include <concur/map.hpp>

namespace concur::inline v0::detail {

/// How a function with this result is mapped on the executor with this core. event_loop specialises
/// it for coroutines.
template <class Core, class Result>
struct map_rules {
    static constexpr bool coroutines = false;
    using value_type = Result;
    template <class F, class Source>
    using run = map_run<Result, F, Source>;
};
template <class Core, class F, class... Ranges>
using map_rules_for = map_rules<Core, item_result_t<F, Ranges...>>;

/// How an executor of this process makes jobs; one whose tasks travel brings another such class.
struct in_process {
    static constexpr bool travels = false;

    template <class Core, class F, class... Args>
    static constexpr bool check_submit() {
        return detail::check_submit<Core, F, Args...>();
    }
    template <class Core, class F, class... Args>
    using result = typename rules_on<Core, F, Args...>::value_type;
    template <result_use Use, bool Extras, class Core, class F, class... Args>
    static state& start_task(Core& core, task_options* options, F&& f, Args&&... args) {
        return detail::start_task<Use, Extras>(core, options, std::forward<F>(f),
                                               std::forward<Args>(args)...);
    }
    template <class Core, class F, class... Ranges>
    static constexpr bool check_items() {
        return detail::check_items<Core, F, Ranges...>();
    }
    template <class Core, class F, class... Ranges>
    using item_result = typename map_rules_for<Core, F, Ranges...>::value_type;
    template <class Core, class F, class... Ranges>
    using map_of =
        typename map_rules_for<Core, F, Ranges...>::template run<F, source_for<F, Ranges...>>;
};

template <class Executor, class How = in_process>
class executor_verbs {
public:
    /// Runs f(args...) once on some worker and gives the future of what it returns.
    ///
    /// f, args   are moved or copied in once; wrap in std::ref to share the original. Futures are
    ///           awaited: the task starts once they hold values, gets those, and holds no worker
    ///           meanwhile. If f takes a std::stop_token in front, it gets one.
    /// Order     tasks of one outside thread start in the order submitted; `priority` goes before.
    /// Blocks    only while `max_pending` tasks wait (default: never).
    /// Throws    executor_shut_down, broken_executor. What f throws waits in the future.
    /// Threads   any, also inside a task.
    /// Cost      one allocation, from a cache; at most one wake-up.
    /// Hazard    a task that refers to your locals must be waited for before they die.
    template <class F, class... Args>
        requires(!std::same_as<std::remove_cvref_t<F>, task_options>)
    [[nodiscard]] auto submit(F&& f, Args&&... args) {
        using core_type = std::remove_reference_t<decltype(core())>;
        if constexpr (How::template check_submit<core_type, F, Args...>()) {
            using result = typename How::template result<core_type, F, Args...>;
            return future_access::make<result>(
                state_ref(&How::template start_task<result_use::kept, false>(
                    core(), nullptr, std::forward<F>(f), std::forward<Args>(args)...)));
        }
    }
    template <class F, class... Args>
    [[nodiscard]] auto submit(task_options options, F&& f, Args&&... args) {
        using core_type = std::remove_reference_t<decltype(core())>;
        if constexpr (How::template check_submit<core_type, F, Args...>()) {
            using result = typename How::template result<core_type, F, Args...>;
            require_valid(options);
            return future_access::make<result>(
                state_ref(&How::template start_task<result_use::kept, true>(
                    core(), &options, std::forward<F>(f), std::forward<Args>(args)...)));
        }
    }

    /// The same without a future: what f throws goes to on_error.
    template <class F, class... Args>
        requires(!std::same_as<std::remove_cvref_t<F>, task_options>)
    void post(F&& f, Args&&... args) {
        using core_type = std::remove_reference_t<decltype(core())>;
        if constexpr (How::template check_submit<core_type, F, Args...>()) {
            How::template start_task<result_use::reported, false>(
                core(), nullptr, std::forward<F>(f), std::forward<Args>(args)...);
        }
    }
    template <class F, class... Args>
    void post(task_options options, F&& f, Args&&... args) {
        using core_type = std::remove_reference_t<decltype(core())>;
        if constexpr (How::template check_submit<core_type, F, Args...>()) {
            require_valid(options);
            How::template start_task<result_use::reported, true>(
                core(), &options, std::forward<F>(f), std::forward<Args>(args)...);
        }
    }

    /// Calls f for every item of a range (of several ranges in step, up to the shortest) and gives
    /// the results, lazily and in input order. It starts at once.
    ///
    /// f         is kept once and called as const, by several workers at once. It gets what the
    ///           range gives: references into a container that you keep or a view; an rvalue
    ///           container is moved in. Items of a single-pass range are handed over by value.
    /// ranges    random-access ranges are read by several workers at once, others by the thread
    /// that
    ///           calls map and reads the results.
    /// Order     of the input; a failure comes after everything before it.
    /// Blocks    to read the first inputs of a single-pass range; with max_pending, for space.
    /// Throws    executor_shut_down, broken_executor, std::invalid_argument for the options.
    /// Cost      one job per chunk of about 200 us, two atomic stores per item. collect() and
    ///           for_each cost less: a few atomic operations per chunk.
    template <class F, class... Ranges>
        requires(!std::same_as<std::remove_cvref_t<F>, map_options>)
    auto map(F&& f, Ranges&&... ranges) {
        return map(map_options{}, std::forward<F>(f), std::forward<Ranges>(ranges)...);
    }
    template <class F, class... Ranges>
    auto map(map_options options, F&& f, Ranges&&... ranges) {
        using core_type = std::remove_reference_t<decltype(core())>;
        if constexpr (How::template check_items<core_type, std::decay_t<F>, Ranges...>()) {
            return map_result<
                typename How::template item_result<core_type, std::decay_t<F>, Ranges...>>(
                start_map(std::move(options), std::forward<F>(f), std::forward<Ranges>(ranges)...));
        }
    }

    /// The same results as they complete, as std::pair of position and result.
    template <class F, class... Ranges>
        requires(!std::same_as<std::remove_cvref_t<F>, map_options>)
    auto map_unordered(F&& f, Ranges&&... ranges) {
        return map_unordered(map_options{}, std::forward<F>(f), std::forward<Ranges>(ranges)...);
    }
    template <class F, class... Ranges>
    auto map_unordered(map_options options, F&& f, Ranges&&... ranges) {
        using core_type = std::remove_reference_t<decltype(core())>;
        if constexpr (How::template check_items<core_type, std::decay_t<F>, Ranges...>()) {
            return unordered_map_result<
                typename How::template item_result<core_type, std::decay_t<F>, Ranges...>>(
                start_map(std::move(options), std::forward<F>(f), std::forward<Ranges>(ranges)...));
        }
    }

    /// Calls f for every item and waits; results are dropped. The calling thread may take part.
    ///
    /// Throws    the first failure in input order, after everything before it has run; what comes
    ///           behind it may have run or not.
    template <class F, class... Ranges>
        requires(!std::same_as<std::remove_cvref_t<F>, map_options>)
    void for_each(F&& f, Ranges&&... ranges) {
        for_each(map_options{}, std::forward<F>(f), std::forward<Ranges>(ranges)...);
    }
    template <class F, class... Ranges>
    void for_each(map_options options, F&& f, Ranges&&... ranges) {
        using function = std::decay_t<F>;
        using core_type = std::remove_reference_t<decltype(core())>;
        if constexpr (How::travels) {
            for_each_elsewhere(std::move(options), std::forward<F>(f),
                               std::forward<Ranges>(ranges)...);
        } else if constexpr (How::template check_items<core_type, function, Ranges...>()) {
            require_valid(options);
            using source_type = source_for<function, Ranges...>;
            if constexpr (map_rules_for<core_type, function, Ranges...>::coroutines) {
                auto const stream = start_map(std::move(options), std::forward<F>(f),
                                              std::forward<Ranges>(ranges)...);
                while (auto item = stream->next_in_order()) item->second.value();
            } else if constexpr (source_type::indexed) {
                source_type const source(std::forward<Ranges>(ranges)...);
                function const each(std::forward<F>(f));
                run_loop(core(), source.size(), loop_for(options),
                         each_item{source.positions(), function_handle(each)});
            } else {
                auto each = [call = function(std::forward<F>(f))]<class... Item>(Item&&... item)
                    requires item_function<function, Item...>
                { static_cast<void>(call_item(call, std::forward<Item>(item)...)); };
                start_map(std::move(options), std::move(each), std::forward<Ranges>(ranges)...)
                    ->collect();
            }
        }
    }

    /// op(...op(op(init, x0), x1)..., xn) with the brackets set differently: op must be
    /// associative. The brackets depend on the number of items only, so the result is the same on
    /// every executor and with any chunk size. init is leftmost; without items it is the result.
    ///
    /// Blocks    until all is done; the calling thread may take part.
    /// Throws    what op throws.
    template <class Op, class Range, class T>
        requires(!std::same_as<std::remove_cvref_t<Op>, map_options>)
    T reduce(Op&& op, Range&& range, T init) {
        return reduce(map_options{}, std::forward<Op>(op), std::forward<Range>(range),
                      std::move(init));
    }
    template <class Op, class Range, class T>
    T reduce(map_options options, Op&& op, Range&& range, T init) {
        return map_reduce(std::move(options), same_item{}, std::forward<Op>(op),
                          std::forward<Range>(range), std::move(init));
    }

    /// reduce over f(item), without keeping these values.
    template <class F, class Op, class Range, class T>
        requires(!std::same_as<std::remove_cvref_t<F>, map_options>)
    T map_reduce(F&& f, Op&& op, Range&& range, T init) {
        return map_reduce(map_options{}, std::forward<F>(f), std::forward<Op>(op),
                          std::forward<Range>(range), std::move(init));
    }
    template <class F, class Op, class Range, class T>
    T map_reduce(map_options options, F&& f, Op&& op, Range&& range, T init) {
        using function = std::decay_t<F>;
        static_assert(std::is_invocable_r_v<T, std::remove_reference_t<Op> const&, T, T>,
                      "reduce(op, range, init): op cannot be called with two values of init's type "
                      "(as const, for it is shared), or gives something else");
        using core_type = std::remove_reference_t<decltype(core())>;
        if constexpr (How::travels) {
            return How::map_reduce(*this, std::move(options), std::forward<F>(f),
                                   std::forward<Op>(op), std::forward<Range>(range),
                                   std::move(init));
        } else if constexpr (How::template check_items<core_type, function, Range>()) {
            require_valid(options);
            if constexpr (map_rules_for<core_type, function, Range>::coroutines) {
                loop_options const loop{.name = nullptr,
                                        .timeout = {},
                                        .priority = options.priority,
                                        .seed = options.seed.value_or(0)};
                auto values =
                    start_map(std::move(options), std::forward<F>(f), std::forward<Range>(range))
                        ->collect();
                return run_reduction(
                    core(), values.size(), loop, std::as_const(op), std::move(init),
                    [&](std::size_t i) -> decltype(auto) { return std::move(values[i]); });
            } else if constexpr (source_for<function, Range>::indexed) {
                indexed_source<Range> const source(std::forward<Range>(range));
                return run_reduction(core(), source.size(), loop_for(options), std::as_const(op),
                                     std::move(init), [&](std::size_t i) -> decltype(auto) {
                                         return source.positions().call_at(f, i);
                                     });
            } else {
                // The tree depends on the length, which a range like this tells at its end.
                auto items = read_all<function>(std::forward<Range>(range));
                using item = typename decltype(items)::value_type;
                return run_reduction(
                    core(), items.size(), loop_for(options), std::as_const(op), std::move(init),
                    [&](std::size_t i) -> decltype(auto) {
                        return std::apply(
                            [&](auto& cell) -> decltype(auto) { return call_item(f, cell.get()); },
                            static_cast<item&>(items[i]));
                    });
            }
        } else {
            return init;
        }
    }

private:
    struct same_item {
        template <class Item>
        std::remove_cvref_t<Item> operator()(Item&& item) const {
            return std::forward<Item>(item);
        }
    };

    template <class F, class Range>
    static auto read_all(Range&& range) {
        source_for<F, Range> source(std::forward<Range>(range));
        std::vector<typename source_for<F, Range>::item> items;
        while (source.read([&](auto&& cell) { items.emplace_back(std::move(cell)); })) {
        }
        return items;
    }

    static loop_options loop_for(map_options const& options) {
        return {
            .name = options.name.empty() ? nullptr : &options.name,
            .chunk_size = options.chunk_size,
            .timeout = options.timeout,
            .deadline = options.deadline ? deadline_after(*options.deadline) : time_point::max(),
            .priority = options.priority,
            .seed = options.seed.value_or(0)};
    }

    template <class F, class... Ranges>
    void for_each_elsewhere(map_options options, F&& f, Ranges&&... ranges) {
        using each = typename How::template without_result<std::decay_t<F>>;
        using core_type = std::remove_reference_t<decltype(core())>;
        if constexpr (How::template check_items<core_type, std::decay_t<F>, Ranges...>()) {
            start_map(std::move(options), each{std::forward<F>(f)}, std::forward<Ranges>(ranges)...)
                ->collect();
        }
    }

    template <class F, class... Ranges>
    auto start_map(map_options options, F&& f, Ranges&&... ranges) {
        require_valid(options);
        using function = std::decay_t<F>;
        using core_type = std::remove_reference_t<decltype(core())>;
        using result = typename How::template item_result<core_type, function, Ranges...>;
        using run = typename How::template map_of<core_type, function, Ranges...>;
        return std::unique_ptr<map_stream<result>>(
            std::make_unique<run>(core(), std::move(options), function(std::forward<F>(f)),
                                  std::in_place, std::forward<Ranges>(ranges)...));
    }

    auto& core() noexcept { return static_cast<Executor*>(this)->core(); }
};

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// when_all, when_any: one future for several, without a thread that waits. Futures of different
// executors mix freely.
#pragma once

#include <memory>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <concur/detail/verbs/element.hpp>
#include <concur/detail/verbs/submit.hpp>

namespace concur::inline v0 {

namespace detail {

/// A future that is completed by its inputs: `call` takes their values when all hold one.
template <class R, class Call>
future<R> combine(Call call, std::vector<state_ref> inputs) {
    using block = job<Call, R, true>;
    // The future's reference, and that of the way: the inputs'.
    state& s = block::make(nullptr, not_ready, 2, [&] { return std::move(call); });
    auto combined = future_access::make<R>(state_ref(&s));
    try {
        s.ops->extras(s)->inputs = std::make_unique<input_list>(s, std::move(inputs));
    } catch (...) {
        abandon(s, 1);
        throw;
    }
    s.ops->extras(s)->inputs->start();
    return combined;
}

template <class T>
struct take_vector {
    static constexpr std::size_t tasks = 0;
    auto operator()() && {
        if constexpr (std::is_void_v<T>) {
            futures.clear();
        } else {
            std::vector<T> values;
            values.reserve(futures.size());
            for (auto& f : futures) values.push_back(f.get());
            return values;
        }
    }
    std::vector<future<T>> futures;
};

struct first_of {
    static constexpr std::size_t tasks = 0;
    std::size_t operator()() && { return positions[first]; }
    std::vector<std::size_t> positions;
    std::size_t first = 0;
};

template <class... T>
struct take_tuple {
    static constexpr std::size_t tasks = 0;
    template <class U>
    static auto take(future<U>& f) {
        if constexpr (std::is_void_v<U>) {
            f.get();
            return std::monostate{};
        } else {
            return f.get();
        }
    }
    auto operator()() && {
        return std::apply(
            [](future<T>&... f) {
                return std::tuple<std::conditional_t<std::is_void_v<T>, std::monostate, T>...>{
                    take(f)...};
            },
            futures);
    }
    std::tuple<future<T>...> futures;
};

}  // namespace detail

/// Completes when all are done: with the values in the same order, or with the first failure in
/// that order. Nothing is cancelled. An empty vector is done at once.
///
/// Throws   std::future_error no_state when one is not valid().
template <class T>
auto when_all(std::vector<future<T>>&& futures) {
    using result = std::conditional_t<std::is_void_v<T>, void,
                                      std::vector<std::conditional_t<std::is_void_v<T>, int, T>>>;
    std::vector<detail::state_ref> inputs;
    inputs.reserve(futures.size());
    for (auto& f : futures) detail::add_input(inputs, f);
    return detail::combine<result>(detail::take_vector<T>{std::move(futures)}, std::move(inputs));
}

/// The same for futures of different types; void gives std::monostate.
template <class... T>
    requires(sizeof...(T) > 0)
future<std::tuple<std::conditional_t<std::is_void_v<T>, std::monostate, T>...>> when_all(
    future<T>&&... futures) {
    using result = std::tuple<std::conditional_t<std::is_void_v<T>, std::monostate, T>...>;
    std::vector<detail::state_ref> inputs;
    (detail::add_input(inputs, futures), ...);
    return detail::combine<result>(detail::take_tuple<T...>{{std::move(futures)...}},
                                   std::move(inputs));
}

template <class... F>
    requires(detail::lvalue_future<F> || ...)
future<void> when_all(F&&...) {
    static_assert((!detail::lvalue_future<F> && ...),
                  "when_all(futures...): a future cannot be copied; std::move it, or share() it");
    return {};
}

/// The position of the first future that is done, well or not. The futures stay where they are.
/// Those that are not valid() are skipped.
///
/// Throws   std::invalid_argument when none is valid: nothing would ever be done.
template <detail::any_range Range, class Projection = detail::future_inside>
future<std::size_t> when_any(Range& range, Projection projection = {}) {
    using namespace detail;
    using block = job<first_of, std::size_t, true>;
    std::vector<state_ref> inputs;
    std::vector<std::size_t> positions;
    std::size_t position = 0;
    for (auto&& element : range) {
        if (auto* const s = state_in_element(projection, element)) {
            inputs.push_back(state_ref::share(*s));
            positions.push_back(position);
        }
        ++position;
    }
    if (inputs.empty()) {
        throw std::invalid_argument(
            "when_any: no valid future in the range, so none would be done");
    }
    state& s = block::make(nullptr, not_ready, 2, [&] { return first_of{std::move(positions)}; });
    auto result = future_access::make<std::size_t>(state_ref(&s));
    auto const first_done = [](state& dependent, std::size_t first) {
        if (!dependent.claim_unready()) return;
        block::call_of(dependent).first = first;
        dependent.retain();  // run() gives one up, and the list needs its own until all are done
        block::run_claimed(dependent);
    };
    try {
        s.ops->extras(s)->inputs = std::make_unique<input_list>(s, std::move(inputs), first_done);
    } catch (...) {
        abandon(s, 1);
        throw;
    }
    s.ops->extras(s)->inputs->start();
    return result;
}

}  // namespace concur::inline v0

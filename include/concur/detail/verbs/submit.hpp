// SPDX-License-Identifier: BSL-1.0
// From f and its arguments to a job: what may be submitted, what the task gets, and the sentence
// that the compiler says when it may not.
#pragma once

#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <concur/callable.hpp>
#include <concur/detail/task/job.hpp>
#include <concur/detail/verbs/source.hpp>
#include <concur/executor.hpp>
#include <concur/future.hpp>

namespace concur::inline v0::detail {

template <class... T>
struct types {};

/// What an argument becomes in the call: an awaited future becomes its value, or nothing.
template <class A>
struct awaited {
    static constexpr bool is_future = false;
    using values = types<A>;
};
template <class T>
struct awaited<future<T>> {
    static constexpr bool is_future = true;
    using values = types<T>;
};
template <class T>
struct awaited<shared_future<T>> {
    static constexpr bool is_future = true;
    // The value is shared, so the task gets a copy where there can be one.
    using values = types<std::conditional_t<std::is_copy_constructible_v<T>, T, T const&>>;
};
template <>
struct awaited<future<void>> {
    static constexpr bool is_future = true;
    using values = types<>;
};
template <>
struct awaited<shared_future<void>> : awaited<future<void>> {};

template <class... Lists>
struct joined_types;
template <class... A>
struct joined_types<types<A...>> {
    using type = types<A...>;
};
template <class... A, class... B, class... Rest>
struct joined_types<types<A...>, types<B...>, Rest...> : joined_types<types<A..., B...>, Rest...> {
};

template <class A>
concept lvalue_future = std::is_lvalue_reference_v<A> && requires {
    typename std::remove_cvref_t<A>::value_type;
    requires std::same_as<std::remove_cvref_t<A>,
                          future<typename std::remove_cvref_t<A>::value_type>>;
};

/// How F is called with values of these types.
template <class F, class Values>
struct call_rules;
template <class F, class... V>
struct call_rules<F, types<V...>> {
    static constexpr bool plain = std::is_invocable_v<F, V...>;
    // Not asked when the plain call is possible: a generic lambda might not compile with a token.
    static constexpr bool with_token =
        std::conjunction_v<std::bool_constant<!plain>, std::is_invocable<F, std::stop_token, V...>>;
    static constexpr bool possible = plain || with_token;
    static auto result() {
        if constexpr (plain) {
            return std::type_identity<std::decay_t<std::invoke_result_t<F, V...>>>{};
        } else if constexpr (with_token) {
            return std::type_identity<
                std::decay_t<std::invoke_result_t<F, std::stop_token, V...>>>{};
        } else {
            return std::type_identity<void>{};
        }
    }
    using result_type = typename decltype(result())::type;
};

template <class F, class... Args>
using rules_for = call_rules<
    std::decay_t<F>,
    typename joined_types<types<>, typename awaited<std::decay_t<Args>>::values...>::type>;

/// What becomes of a function with this result on the executor with this core: the value of its
/// future, and the block that holds it. event_loop specialises it for coroutines.
template <class Core, class Result>
struct result_rules {
    using value_type = Result;
    template <class Call, class R, bool Extras, result_use Use>
    using block = job<Call, R, Extras, Use>;
};

template <class Core, class F, class... Args>
using rules_on = result_rules<Core, typename rules_for<F, Args...>::result_type>;

/// Everything that can be wrong with submit(f, args...), each with its remedy.
template <class Core, class F, class... Args>
constexpr bool check_submit() {
    constexpr bool no_lvalue_future = !(lvalue_future<Args> || ...);
    static_assert(no_lvalue_future,
                  "submit(f, args...): an argument is a future that would have to be copied; "
                  "std::move it, or share() it");
    if constexpr (no_lvalue_future) {
        using rules = rules_for<F, Args...>;
        static_assert(rules::possible,
                      "submit(f, args...): f cannot be called with copies of these arguments; "
                      "pass std::ref(x) to share x");
        constexpr bool accepted = accepts_result<Core, typename rules::result_type>;
        static_assert(accepted,
                      "submit(f, args...): f is a coroutine function, which needs an event_loop "
                      "and returns a concur::task<T> or a boost::asio::awaitable<T>; this executor "
                      "does not run it");
        return rules::possible && accepted;
    }
    return false;
}

template <class F>
void require_target(F const& f) {
    if constexpr (std::is_pointer_v<F> || std::is_member_pointer_v<F>) {
        if (!f) throw std::invalid_argument("submit(f, args...): f is a null pointer");
    }
}

template <class Options>
void require_valid(Options const& options) {
    if (options.retries < 0) {
        throw std::invalid_argument(
            text("the option retries is %d; it must be 0 or more", options.retries));
    }
}

/// f and its arguments, moved in once, to be called once.
template <class F, class... Args>
struct bound_call {
    static constexpr std::size_t tasks = 1;
    using rules = call_rules<F, types<Args...>>;

    typename rules::result_type operator()() && {
        return std::apply(
            [&](Args&... arg) -> decltype(auto) {
                if constexpr (rules::plain) {
                    return call(std::move(f), std::move(arg)...);
                } else {
                    return call(std::move(f), current_stop_token(), std::move(arg)...);
                }
            },
            args);
    }

    F f;
    std::tuple<Args...> args;
};

/// The same with futures among the arguments: all are done when it is called.
template <class F, class... Args>
struct awaiting_call {
    static constexpr std::size_t tasks = 1;
    using rules = rules_for<F, Args...>;

    typename rules::result_type operator()() && {
        auto inputs = values();
        return invoke_with(inputs);
    }

    /// The values of the futures, and references to the other arguments.
    auto values() {
        return std::apply([](Args&... arg) { return std::tuple_cat(value_of(arg)...); }, args);
    }
    template <class Values>
    typename rules::result_type invoke_with(Values& inputs) {
        return std::apply(
            [&](auto&&... value) -> decltype(auto) {
                return invoke(std::forward<decltype(value)>(value)...);
            },
            std::move(inputs));
    }

    F f;
    std::tuple<Args...> args;

    template <class... V>
    decltype(auto) invoke(V&&... value) {
        if constexpr (rules::plain) {
            return call(std::move(f), std::forward<V>(value)...);
        } else {
            return call(std::move(f), current_stop_token(), std::forward<V>(value)...);
        }
    }

    template <class A>
    static auto value_of(A& argument) {
        return std::tuple<A&&>(std::move(argument));
    }
    template <class T>
    static auto value_of(future<T>& input) {
        if constexpr (std::is_void_v<T>) {
            input.get();
            return std::tuple<>();
        } else {
            return std::tuple<T>(input.get());
        }
    }
    template <class T>
    static auto value_of(shared_future<T>& input) {
        if constexpr (std::is_void_v<T>) {
            input.get();
            return std::tuple<>();
        } else if constexpr (std::is_copy_constructible_v<T>) {
            return std::tuple<T>(input.get());
        } else {
            return std::tuple<T const&>(input.get());
        }
    }
};

template <class A>
void add_input(std::vector<state_ref>& inputs, A const& argument) {
    if constexpr (awaited<A>::is_future) {
        if (!argument.valid()) throw std::future_error(std::future_errc::no_state);
        inputs.push_back(state_ref::share(*future_access::state_in(argument)));
    }
}

/// Takes back a state that never got to its executor.
inline void abandon(state& s, std::uint64_t references) noexcept {
    if (s.cancel()) {
        s.tell();
        try {
            s.ops->drop(s);
        } catch (...) {
            report_current(s.owner);
        }
    }
    for (; references > 0; --references) s.release();
}

inline void set_extras(state& s, task_options&& options) {
    auto& extras = *s.ops->extras(s);
    extras.name = std::move(options.name);
    extras.timeout = options.timeout;
    extras.seed = options.seed;
    extras.priority = options.priority;
    extras.retries = options.retries;
}

/// Makes the job and hands it to the executor. `references`: 2 with a future, 1 without.
template <result_use Use, bool Extras, class Core, class F, class... Args>
state& start_task(Core& core, task_options* options, F&& f, Args&&... args) {
    constexpr std::uint64_t references = Use == result_use::kept ? 2 : 1;
    constexpr bool awaits = (awaited<std::decay_t<Args>>::is_future || ...);
    using rules = rules_on<Core, F, Args...>;
    using call_type =
        std::conditional_t<awaits, awaiting_call<std::decay_t<F>, std::decay_t<Args>...>,
                           bound_call<std::decay_t<F>, std::decay_t<Args>...>>;
    using stored = std::conditional_t<Use == result_use::kept, typename rules::value_type, void>;
    using block = typename rules::template block<call_type, stored, Extras || awaits, Use>;

    require_target(f);
    std::vector<state_ref> inputs;
    if constexpr (awaits) {
        (add_input(inputs, args), ...);
        if constexpr (Core::runs_in_submit) {
            for (auto& input : inputs) wait_done(*input);
        }
    }
    state& s = block::make(&core, awaits ? not_ready : std::uint64_t{0}, references, [&] {
        return call_type{std::forward<F>(f),
                         std::tuple<std::decay_t<Args>...>(std::forward<Args>(args)...)};
    });
    try {
        if constexpr (Extras) set_extras(s, std::move(*options));
        if constexpr (awaits) {
            s.ops->extras(s)->inputs = std::make_unique<input_list>(s, std::move(inputs));
        }
        core.admit(true);
    } catch (...) {
        abandon(s, references);
        throw;
    }
    if constexpr (awaits) {
        s.ops->extras(s)->inputs->start();
    } else {
        core.enqueue(s);
    }
    return s;
}

}  // namespace concur::inline v0::detail

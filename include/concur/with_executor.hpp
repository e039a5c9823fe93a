// SPDX-License-Identifier: BSL-1.0
// with_executor: picks an executor by name at run time, for programs that take it from a command
// line or a configuration file.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <concur/event_loop.hpp>
#include <concur/process_pool.hpp>
#include <concur/serial_executor.hpp>
#include <concur/thread_pool.hpp>

namespace concur::inline v0 {

struct executor_options {
    count workers = 0;  ///< 0: usable_cpus(); serial_executor and event_loop have always one
};

namespace detail {

/// An executor's name and how it is made: one specialisation per executor.
template <class Executor>
struct named_executor;

template <>
struct named_executor<serial_executor> {
    static constexpr std::string_view name = "serial";
    template <class Use>
    static decltype(auto) with(executor_options const&, Use&& use) {
        serial_executor ex;
        return std::forward<Use>(use)(ex);
    }
};

template <>
struct named_executor<thread_pool> {
    static constexpr std::string_view name = "threads";
    template <class Use>
    static decltype(auto) with(executor_options const& options, Use&& use) {
        thread_pool ex({.workers = options.workers});
        return std::forward<Use>(use)(ex);
    }
};

template <>
struct named_executor<process_pool> {
    static constexpr std::string_view name = "processes";
    template <class Use>
    static decltype(auto) with(executor_options const& options, Use&& use) {
        process_pool ex({.workers = options.workers});
        return std::forward<Use>(use)(ex);
    }
};

template <>
struct named_executor<event_loop> {
    static constexpr std::string_view name = "loop";
    template <class Use>
    static decltype(auto) with(executor_options const&, Use&& use) {
        event_loop ex;
        return std::forward<Use>(use)(ex);
    }
};

template <class First, class... Rest, class Use>
decltype(auto) with_one_of(std::string_view name, executor_options const& options, Use&& use,
                           std::string const& names) {
    if (name == named_executor<First>::name) {
        return named_executor<First>::with(options, std::forward<Use>(use));
    }
    if constexpr (sizeof...(Rest) != 0) {
        return with_one_of<Rest...>(name, options, std::forward<Use>(use), names);
    } else {
        throw std::invalid_argument(
            text("with_executor: there is no executor named '%.*s'; the names are%s",
                 static_cast<int>(name.size()), name.data(), names.c_str()));
    }
}

}  // namespace detail

/// Makes the executor with this name, calls use(ex) and returns what it returns; the executor ends
/// before. Name the classes to narrow the list: with_executor<serial_executor, thread_pool>(...).
///
/// name     "serial", "threads", "processes" or "loop".
/// use      a callable that takes any of the executors (auto& ex) and returns the same type for
/// all. Throws   std::invalid_argument for an unknown name, with the names that there are.
template <class... Executors, class Use>
decltype(auto) with_executor(std::string_view name, executor_options const& options, Use&& use) {
    if constexpr (sizeof...(Executors) == 0) {
        return with_executor<serial_executor, thread_pool, process_pool, event_loop>(
            name, options, std::forward<Use>(use));
    } else {
        std::string names;
        ((names += names.empty() ? " " : ", ", names += detail::named_executor<Executors>::name),
         ...);
        return detail::with_one_of<Executors...>(name, options, std::forward<Use>(use), names);
    }
}

}  // namespace concur::inline v0

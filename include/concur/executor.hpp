// SPDX-License-Identifier: BSL-1.0
// What every executor promises: the concept, the option structs, the statistics, and what a task
// can ask about itself. The verbs (submit, map, ...) are described in detail/verbs/verbs.hpp.
#pragma once

#include <concepts>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <type_traits>

#include <concur/detail/base/chaos.hpp>
#include <concur/detail/base/cpus.hpp>
#include <concur/detail/base/text.hpp>
#include <concur/detail/task/context.hpp>
#include <concur/detail/task/stop.hpp>
#include <concur/error.hpp>
#include <concur/future.hpp>

namespace concur::inline v0 {

/// A number of things: any integer converts without a narrowing warning.
///
/// Throws   std::invalid_argument when it is negative.
class count {
public:
    constexpr count() = default;
    template <std::integral N>
    constexpr count(N value) : value_(static_cast<std::size_t>(value)) {
        if constexpr (std::is_signed_v<N>) {
            if (value < 0) {
                throw std::invalid_argument(
                    detail::text("a count cannot be negative, and %lld was given (0 is the "
                                 "default, or no limit)",
                                 static_cast<long long>(value)));
            }
        }
    }
    constexpr operator std::size_t() const noexcept { return value_; }

private:
    std::size_t value_ = 0;
};

struct task_options {
    std::string name = {};                   ///< for messages and timelines
    std::optional<duration> timeout = {};    ///< from the task's start
    int retries = 0;                         ///< runs again after worker_lost, never otherwise
    int priority = 0;                        ///< higher first, among tasks not yet taken
    std::optional<std::uint64_t> seed = {};  ///< what this_task::seed() is made of
};

struct map_options {
    std::string name = {};
    count chunk_size = 0;                   ///< items per job; 0: by measured time
    count window = 0;                       ///< inputs in flight or unread; 0: by measured time
    std::optional<duration> timeout = {};   ///< per item, from its start
    std::optional<duration> deadline = {};  ///< for everything, from the call
    int retries = 0;                        ///< per item, after worker_lost only
    int priority = 0;
    std::optional<std::uint64_t> seed = {};  ///< with the position it makes this_task::seed()
};

struct shutdown_options {
    bool wait = true;             ///< until everything has finished
    bool cancel_pending = false;  ///< tasks that have not started are cancelled
};

/// submitted = pending + running + completed + failed + cancelled. Exact when idle, recent
/// otherwise. The items of a map count as tasks.
struct executor_stats {
    std::size_t workers = 0;
    std::size_t pending = 0;  ///< also those that wait for their inputs
    std::size_t running = 0;
    std::uint64_t submitted = 0;
    std::uint64_t completed = 0;  ///< with a value
    std::uint64_t failed = 0;     ///< with an exception
    std::uint64_t cancelled = 0;
    std::uint64_t workers_lost = 0;
};

/// Runs tasks: everything that serial_executor, thread_pool and the others have in common.
template <class E>
concept executor = requires(E& ex, E const& idle, int (*f)(int), shutdown_options how) {
    { ex.submit(f, 1) } -> std::same_as<future<int>>;
    { ex.submit(task_options{}, f, 1) } -> std::same_as<future<int>>;
    ex.post(f, 1);
    { idle.worker_count() } -> std::same_as<std::size_t>;
    { idle.stats() } -> std::same_as<executor_stats>;
    ex.wait_idle();
    ex.shutdown(how);
};

/// About the worker that the calling thread is, if it is one.
namespace this_worker {

inline constexpr std::size_t none = static_cast<std::size_t>(-1);

/// 0 ... worker_count()-1 inside a task, and no two tasks of an executor that run at the same time
/// have the same one; `none` outside.
inline std::size_t index() noexcept {
    auto const* const place = detail::this_worker_context;
    return place ? place->index : none;
}

}  // namespace this_worker

/// About the task, or item of a map, that the calling thread runs.
namespace this_task {

/// True once somebody asked the task to stop: request_stop(), a time-out, a dropped map.
/// Cost: a load.
inline bool stop_requested() noexcept { return detail::current_stop_requested(); }

/// The same as a token, for std::stop_callback and condition_variable_any. Outside of tasks: a
/// token that never stops. Cost: an allocation at the first call in a task.
inline std::stop_token stop_token() { return detail::current_stop_token(); }

/// A number for a random generator that depends on the `seed` option and the item's position only:
/// the same on every executor, with any number of workers and any chunk size.
///
/// Throws   std::logic_error outside of tasks, and in one submitted without a seed.
inline std::uint64_t seed() {
    auto const* const task = detail::this_task_context;
    if (!task || !task->seed) {
        throw std::logic_error(
            "this_task::seed(): this task has no seed; submit it with the option .seed, as in "
            "submit({.seed = 1}, f)");
    }
    return detail::mix64(detail::mix64(*task->seed) + static_cast<std::uint64_t>(task->position));
}

/// Which attempt this is, from 1; more only under retry() and after worker_lost. 0 outside of
/// tasks.
inline int attempt() noexcept {
    auto const* const task = detail::this_task_context;
    return task ? task->attempt : 0;
}

}  // namespace this_task

}  // namespace concur::inline v0

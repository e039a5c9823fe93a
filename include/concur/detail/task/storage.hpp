// SPDX-License-Identifier: BSL-1.0
// Where the result of a state stands: right behind it, at an offset that only depends on the type
// of the result. So a future needs no more than its type and a pointer.
#pragma once

#include <exception>
#include <new>
#include <type_traits>

#include <concur/detail/task/executor_core.hpp>
#include <concur/detail/task/state.hpp>

namespace concur::inline v0::detail {

/// What void stands for where a value is stored.
struct no_value {};
template <class R>
using stored_t = std::conditional_t<std::is_void_v<R>, no_value, R>;

constexpr std::size_t offset_for(std::size_t alignment) noexcept {
    return (sizeof(state) + alignment - 1) / alignment * alignment;
}

template <class T>
T* behind(state& s) noexcept {
    return reinterpret_cast<T*>(reinterpret_cast<std::byte*>(&s) + offset_for(alignof(T)));
}

/// The value of a state in phase_value.
template <class R>
stored_t<R>& result_of(state& s) noexcept {
    return *std::launder(behind<stored_t<R>>(s));
}

inline std::exception_ptr& error_in_storage(state& s) noexcept {
    return *std::launder(behind<std::exception_ptr>(s));
}

/// Ends a state that the caller has claimed with an exception instead of running it, and gives up
/// one reference. Its executor has still to be told with retire_unrun().
inline void fail_claimed(state& s, std::exception_ptr problem) noexcept {
    executor_core* const owner = s.owner;
    try {
        s.ops->drop(s);
    } catch (...) {
        report_current(owner);
    }
    if (s.ops->reports) error_sink::report(owner, problem);
    ::new (static_cast<void*>(behind<std::exception_ptr>(s)))
        std::exception_ptr(std::move(problem));
    if (owner) {
        owner->leave_queue();
        owner->count_unrun(s.ops->tasks, unrun::failed);
    }
    s.publish(phase_error);
}

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// Where the calling thread's stack stands.
#pragma once

#include <cstdint>

#include <concur/detail/base/config.hpp>
#include <concur/detail/base/linux.hpp>

namespace concur::inline v0::detail {

/// [begin, end); empty when the system does not say.
struct stack_extent {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;

    bool holds(std::uintptr_t address) const noexcept { return begin <= address && address < end; }
};

/// The whole stack that the thread may come to use. Coroutines and fibres have theirs elsewhere.
inline stack_extent find_stack() noexcept {
    stack_extent found;
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) return found;
    void* lowest = nullptr;
    std::size_t bytes = 0;
    if (pthread_attr_getstack(&attributes, &lowest, &bytes) == 0) {
        found.begin = reinterpret_cast<std::uintptr_t>(lowest);
        found.end = found.begin + bytes;
    }
    pthread_attr_destroy(&attributes);
    return found;
}

/// The same, asked for once in each thread: for the main thread it means reading /proc/self/maps.
inline stack_extent const& own_stack() noexcept {
    static thread_local stack_extent const known = find_stack();
    return known;
}

}  // namespace concur::inline v0::detail

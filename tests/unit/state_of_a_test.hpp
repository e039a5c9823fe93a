// SPDX-License-Identifier: BSL-1.0
// A state that counts what is done to it and stays when it is destroyed.
#pragma once

#include "load.hpp"

#include <concur/detail/task/state.hpp>

#include <atomic>

namespace unit {

class test_state : public concur::detail::state {
public:
    /// Pending, with these flags and references.
    explicit test_state(std::uint64_t flags = 0, std::uint64_t references = 1)
        : state(operations, nullptr, flags + references * concur::detail::one_reference) {}

    // As their callers do it: the winner tells.
    bool cancel() noexcept { return state::cancel() && (tell(), true); }
    bool expire() noexcept { return state::expire() && (tell(), true); }

    std::atomic<int> destroyed = 0;

private:
    static void nothing(state&) {}
    static void destroy(state& s) noexcept { ++static_cast<test_state&>(s).destroyed; }
    static constexpr concur::detail::state_ops operations{&nothing, &nothing, &destroy, nullptr,
                                                          nullptr,  1,        false};
};

}  // namespace unit

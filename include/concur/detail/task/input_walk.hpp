// SPDX-License-Identifier: BSL-1.0
// Walks from a state to what it waits for, through futures as arguments and when_all, however deep
// or wide: depth first, with its own stack, each state with inputs once.
#pragma once

#include <utility>
#include <vector>

#include <concur/detail/base/pointer_set.hpp>
#include <concur/detail/task/inputs.hpp>

namespace concur::inline v0::detail {

class input_walk {
public:
    /// Calls `visit` with `start` and everything that it waits for, inputs before the state that
    /// waits for them once more: running an input may have made it ready. Ends when `visit` says
    /// stop, or when start is done. The references are let go with the walk, not in it: the last
    /// one runs destructors of users.
    template <class Visit>
    void go(state& start, Visit&& visit) {
        if (visit(start) == verdict::stop) return;
        open(state_ref::share(start));
        while (top_ != none && !start.done()) {
            auto const here = top_;
            state_ref next = inputs_of(*places_[here].s)->next_open(places_[here].position);
            if (!next) {
                top_ = places_[here].below;
                if (visit(*places_[here].s) == verdict::stop) return;
                continue;
            }
            if (visit(*next) == verdict::stop) return;
            open(std::move(next));
        }
    }

    enum class verdict : bool { go_on, stop };

private:
    static constexpr std::size_t none = static_cast<std::size_t>(-1);

    static input_list* inputs_of(state& s) noexcept {
        return s.ops->inputs ? s.ops->inputs(s) : nullptr;
    }

    void open(state_ref s) {
        if (phase_of(s->look()) != phase_pending || !inputs_of(*s) || !seen_.insert(s.get())) {
            places_.push_back({std::move(s), 0, none});  // only kept
            return;
        }
        places_.push_back({std::move(s), 0, top_});
        top_ = places_.size() - 1;
    }

    struct place {
        state_ref s;
        std::size_t position;  // of the next input to look at
        std::size_t below;     // the place under it on the stack
    };
    std::vector<place> places_;
    std::size_t top_ = none;
    pointer_set seen_;
};

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// Walks from a state to what it waits for, through futures as arguments and when_all, however deep
// or wide: a depth-first search with its own stack. Each state is visited once.
#pragma once

#include <set>
#include <vector>

#include <concur/detail/task/inputs.hpp>

namespace concur::inline v0::detail {

class input_walk {
public:
    /// Calls `visit` with `start` and everything that it waits for, until visit says true; then
    /// says true. `visit` may call follow() for states that it knows of in other ways.
    template <class Visit>
    bool search(state& start, Visit&& visit) {
        if (visit(start)) return true;
        open(state_ref::share(start));
        while (!path_.empty()) {
            auto& [s, position] = path_.back();
            state_ref next = s->ops->inputs(*s)->next_open(position);
            if (!next) {
                done_.push_back(std::move(path_.back().first));
                path_.pop_back();
                continue;
            }
            if (!seen_.insert(next.get()).second) {
                done_.push_back(std::move(next));
                continue;
            }
            if (visit(*next)) return true;
            open(std::move(next));
        }
        return false;
    }

private:
    void open(state_ref s) {
        auto const* const kind = s->ops;
        bool const waits = kind->inputs && phase_of(s->look()) == phase_pending && kind->inputs(*s);
        if (waits) {
            path_.emplace_back(std::move(s), 0);
        } else {
            done_.push_back(std::move(s));
        }
    }

    std::vector<std::pair<state_ref, std::size_t>> path_;
    std::set<state*> seen_;
    // Released with the walk, not in it: the last reference runs destructors of users.
    std::vector<state_ref> done_;
};

}  // namespace concur::inline v0::detail

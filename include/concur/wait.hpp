// SPDX-License-Identifier: BSL-1.0
// wait: until all of several futures are done, or the first, or the first that failed. Futures of
// different executors mix freely.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <concur/detail/verbs/element.hpp>

namespace concur::inline v0 {

enum class return_when : std::uint8_t { all_completed, first_completed, first_exception };

/// Positions in the range, ascending. A cancelled future is done, and no exception.
struct wait_result {
    std::vector<std::size_t> done;
    std::vector<std::size_t> pending;
};

/// Waits for the futures in a range: elements that are futures, pairs or tuples with one at the
/// end, or anything with a projection. Elements that are not valid() are skipped; of copies of one
/// shared_future the first counts.
///
/// timeout  how long at most; zero or less only looks. Nothing is thrown when it passes.
/// Blocks   until the condition holds. Inside a task it runs the work that it waits for.
/// Throws   would_deadlock.
/// Cost     one list node per future that is not done yet.
template <detail::any_range Range, class Projection = detail::future_inside>
    requires(!std::same_as<Projection, return_when>)
wait_result wait(Range&& range, Projection projection, return_when condition,
                 std::optional<duration> timeout = {});

template <detail::any_range Range>
wait_result wait(Range&& range, return_when condition = return_when::all_completed,
                 std::optional<duration> timeout = {}) {
    return wait(range, detail::future_inside{}, condition, timeout);
}

// ---- implementation

namespace detail {

/// The states that one call of wait() looks at.
class wait_set {
public:
    wait_set() = default;
    wait_set(wait_set const&) = delete;
    wait_set& operator=(wait_set const&) = delete;
    ~wait_set() {
        for (std::size_t i = 0; i < linked_; ++i) states_[i].first->remove_waiter(nodes_[i]);
    }

    void add(state& s, std::size_t position) {
        states_.emplace_back(state_ref::share(s), position);
    }

    /// Of copies of one shared_future the first stays.
    void drop_copies() {
        std::sort(states_.begin(), states_.end(), [](auto const& a, auto const& b) {
            return a.first.get() != b.first.get() ? a.first.get() < b.first.get()
                                                  : a.second < b.second;
        });
        auto const same = [](auto const& a, auto const& b) {
            return a.first.get() == b.first.get();
        };
        states_.erase(std::unique(states_.begin(), states_.end(), same), states_.end());
        std::sort(states_.begin(), states_.end(),
                  [](auto const& a, auto const& b) { return a.second < b.second; });
    }

    void wait(return_when condition, time_point deadline) {
        nodes_ = std::make_unique<node[]>(states_.size());
        // One more than there are, until all are linked: the condition is not judged half-way.
        left_.store(states_.size() + 1);
        bool early = false;
        for (; linked_ < states_.size(); ++linked_) {
            nodes_[linked_].set = this;
            nodes_[linked_].watched = states_[linked_].first.get();
            nodes_[linked_].condition = condition;
            if (!nodes_[linked_].watched->add_waiter(nodes_[linked_])) {
                early = ends_wait(condition, *nodes_[linked_].watched) || early;
                left_.fetch_sub(1);
            }
        }
        if (early) enough_.store(true);
        left_.fetch_sub(1);
        if (states_.empty()) return;
        state* const only = states_.size() == 1 ? states_.front().first.get() : nullptr;
        block_until([&] { return enough_.load() || left_.load() == 0; }, [&] { return help(); },
                    only, sleeper_, deadline);
    }

    wait_result result() const {
        wait_result positions;
        for (auto const& [s, position] : states_) {
            (s->done() ? positions.done : positions.pending).push_back(position);
        }
        return positions;
    }

private:
    struct node : waiter {
        node() : waiter(waiter::when::under_lock, &node::state_done) {}
        static void state_done(waiter& w) noexcept {
            auto& self = static_cast<node&>(w);
            if (ends_wait(self.condition, *self.watched)) self.set->enough_.store(true);
            bool const last = self.set->left_.fetch_sub(1) == 1;
            if (last || self.set->enough_.load()) self.set->sleeper_.unpark();
        }
        wait_set* set = nullptr;
        state* watched = nullptr;
        return_when condition = return_when::all_completed;
    };

    static bool ends_wait(return_when condition, state& s) noexcept {
        return condition == return_when::first_completed ||
               (condition == return_when::first_exception && phase_of(s.look()) == phase_error);
    }

    bool help() {
        while (first_open_ < states_.size() && states_[first_open_].first->done()) ++first_open_;
        for (auto i = first_open_; i < states_.size(); ++i) {
            if (!states_[i].first->done() && help_with(*states_[i].first)) return true;
        }
        return false;
    }

    std::vector<std::pair<state_ref, std::size_t>> states_;
    std::unique_ptr<node[]> nodes_;
    std::size_t linked_ = 0;
    std::size_t first_open_ = 0;
    parker sleeper_;
    std::atomic<std::size_t> left_{0};
    std::atomic<bool> enough_{false};
};

inline time_point deadline_of(std::optional<duration> timeout) noexcept {
    return timeout ? deadline_after(*timeout) : time_point::max();
}

}  // namespace detail

template <detail::any_range Range, class Projection>
    requires(!std::same_as<Projection, return_when>)
wait_result wait(Range&& range, Projection projection, return_when condition,
                 std::optional<duration> timeout) {
    detail::time_point const deadline = detail::deadline_of(timeout);
    detail::wait_set set;
    std::size_t position = 0;
    for (auto&& element : range) {
        if (auto* const s = detail::state_in_element(projection, element)) set.add(*s, position);
        ++position;
    }
    set.drop_copies();
    set.wait(condition, deadline);
    return set.result();
}

}  // namespace concur::inline v0

// SPDX-License-Identifier: BSL-1.0
// Tasks with a priority: highest first, first in first out among equals. A lock and a tree: it is
// only asked when one of its two counts says that there is something. Any thread.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <mutex>

#include <concur/detail/base/config.hpp>

namespace concur::inline v0::detail {

// Protocol [priority]
// Counts are raised under the lock after an item is in, with seq_cst, because the submitter then
// looks for sleepers [idle]; a worker that goes to sleep reads them after it has said so.
template <class T>
class priority_queue {
public:
    void push(int priority, T& item) {
        std::lock_guard const lock(mutex_);
        items_[priority].push_back(&item);
        (priority > 0 ? above_ : below_).fetch_add(1);
    }

    bool any_above() const noexcept {
        return above_.load(std::memory_order_relaxed) != 0;  // [priority] a hint
    }
    bool empty() const noexcept { return above_.load() == 0 && below_.load() == 0; }

    /// The first item; only one above the usual priority 0 if so asked. Null: there is none.
    T* take(bool only_above) noexcept {
        if (above_.load() == 0 && (only_above || below_.load() == 0)) return nullptr;
        std::lock_guard const lock(mutex_);
        auto const first = items_.begin();
        if (first == items_.end() || (only_above && first->first < 0)) return nullptr;
        T* const item = first->second.front();
        first->second.pop_front();
        (first->first > 0 ? above_ : below_).fetch_sub(1);
        if (first->second.empty()) items_.erase(first);
        return item;
    }

private:
    std::mutex mutex_;
    std::map<int, std::deque<T*>, std::greater<int>> items_;
    std::atomic<std::size_t> above_{0};
    std::atomic<std::size_t> below_{0};
};

}  // namespace concur::inline v0::detail

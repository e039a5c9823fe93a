// SPDX-License-Identifier: BSL-1.0
// Tasks with a priority: highest first, first in first out among equals. A lock and a list: it is
// only asked when one of its two counts says that there is something. Any thread.
#pragma once

#include <atomic>
#include <mutex>
#include <utility>

#include <concur/detail/base/config.hpp>
#include <concur/detail/sync/injection_queue.hpp>

namespace concur::inline v0::detail {

// Protocol [priority]
// Counts are raised under the lock after an item is in, with seq_cst, because the submitter then
// looks for sleepers [idle]; a worker that goes to sleep reads them after it has said so.
class priority_queue {
public:
    priority_queue() = default;
    priority_queue(priority_queue const&) = delete;
    priority_queue& operator=(priority_queue const&) = delete;
    ~priority_queue() {
        while (levels_) delete std::exchange(levels_, levels_->lower);
    }

    void push(int priority, queue_link& item) {
        std::lock_guard const lock(mutex_);
        auto& l = level_of(priority);
        item.set_next(nullptr);
        l.first ? l.last->set_next(&item) : static_cast<void>(l.first = &item);
        l.last = &item;
        (priority > 0 ? above_ : below_).fetch_add(1);
    }

    /// One that had been taken goes back in front of those of its priority that it `comes_before`.
    template <class Less>
    void put_back(int priority, queue_link& item, Less&& comes_before) {
        std::lock_guard const lock(mutex_);
        auto& l = level_of(priority);
        queue_link* last = nullptr;
        queue_link* next = l.first;
        while (next && !comes_before(item, *next)) next = (last = next)->next();
        item.set_next(next);
        last ? last->set_next(&item) : static_cast<void>(l.first = &item);
        if (!next) l.last = &item;
        (priority > 0 ? above_ : below_).fetch_add(1);
    }

    bool any_above() const noexcept {
        return above_.load(std::memory_order_relaxed) != 0;  // [priority] a hint
    }
    bool empty() const noexcept { return above_.load() == 0 && below_.load() == 0; }

    /// The first item; only one above the usual priority 0 if so asked. Null: there is none.
    queue_link* take(bool only_above) noexcept {
        if (above_.load() == 0 && (only_above || below_.load() == 0)) return nullptr;
        std::lock_guard const lock(mutex_);
        level* const l = levels_;
        if (!l || (only_above && l->priority < 0)) return nullptr;
        queue_link* const item = l->first;
        l->first = item->next();
        (l->priority > 0 ? above_ : below_).fetch_sub(1);
        if (!l->first) delete std::exchange(levels_, l->lower);
        return item;
    }

private:
    /// The items of one priority; levels that are empty go, so there are few.
    struct level {
        int priority;
        level* lower;
        queue_link* first = nullptr;
        queue_link* last = nullptr;
    };

    level& level_of(int priority) {
        level** place = &levels_;
        while (*place && (*place)->priority > priority) place = &(*place)->lower;
        if (!*place || (*place)->priority != priority) *place = new level{priority, *place};
        return **place;
    }

    std::mutex mutex_;
    level* levels_ = nullptr;
    std::atomic<std::size_t> above_{0};
    std::atomic<std::size_t> below_{0};
};

}  // namespace concur::inline v0::detail

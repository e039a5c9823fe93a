// SPDX-License-Identifier: BSL-1.0
// What is to happen on a loop at certain times: a heap with four children per node, so that a
// million sleepers cost one timer and 16 bytes each. The loop's thread only. Cost: O(log n), and
// O(1) for a time behind all others.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <concur/detail/base/config.hpp>

namespace concur::inline v0::detail {

/// Something that happens at a time, unless it is taken out before.
struct deadline_node {
    static constexpr std::size_t outside = static_cast<std::size_t>(-1);
    explicit deadline_node(void (*e)(deadline_node&) noexcept) noexcept : expired(e) {}
    deadline_node(deadline_node const&) = delete;
    deadline_node& operator=(deadline_node const&) = delete;
    bool armed() const noexcept { return place != outside; }

    void (*expired)(deadline_node&) noexcept;
    std::size_t place = outside;
};

class deadline_heap {
public:
    bool empty() const noexcept { return entries_.empty(); }
    std::size_t size() const noexcept { return entries_.size(); }
    time_point earliest() const noexcept {
        return entries_.empty() ? time_point::max() : entries_.front().when;
    }

    void push(time_point when, deadline_node& node) {
        entries_.push_back({when, &node});
        node.place = entries_.size() - 1;
        rise(node.place);
    }

    void remove(deadline_node& node) noexcept {
        auto const hole = std::exchange(node.place, deadline_node::outside);
        entry const last = entries_.back();
        entries_.pop_back();
        if (hole == entries_.size()) return;
        put(hole, last);
        rise(hole);
        sink(last.node->place);
    }

    /// Takes the first node out if its time has come.
    deadline_node* pop_due(time_point now) noexcept {
        if (entries_.empty() || entries_.front().when > now) return nullptr;
        deadline_node* const node = entries_.front().node;
        remove(*node);
        return node;
    }

private:
    struct entry {
        time_point when;
        deadline_node* node;
    };
    static constexpr std::size_t children = 4;

    void put(std::size_t place, entry const& e) noexcept {
        entries_[place] = e;
        e.node->place = place;
    }

    void rise(std::size_t place) noexcept {
        entry const moving = entries_[place];
        while (place > 0) {
            auto const above = (place - 1) / children;
            if (entries_[above].when <= moving.when) break;
            put(place, entries_[above]);
            place = above;
        }
        put(place, moving);
    }

    void sink(std::size_t place) noexcept {
        entry const moving = entries_[place];
        auto const size = entries_.size();
        for (;;) {
            auto const first = place * children + 1;
            if (first >= size) break;
            auto const end = first + children < size ? first + children : size;
            auto best = first;
            for (auto i = first + 1; i < end; ++i) {
                if (entries_[i].when < entries_[best].when) best = i;
            }
            if (moving.when <= entries_[best].when) break;
            put(place, entries_[best]);
            place = best;
        }
        put(place, moving);
    }

    std::vector<entry> entries_;
};

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// as_completed: the elements of a range in the order in which their futures are done.
#pragma once

#include <algorithm>
#include <deque>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <concur/detail/sync/wake_spot.hpp>
#include <concur/detail/verbs/element.hpp>
#include <concur/wait.hpp>

namespace concur::inline v0 {

/// What as_completed() gives: a single-pass range of references to the elements. Done ones come
/// first, then each as it is done. Leaving early is fine. One thread at a time.
template <class Element>
class [[nodiscard]] completed_range {
public:
    class iterator;

    completed_range(completed_range&&) noexcept = default;
    completed_range& operator=(completed_range&&) noexcept = default;

    /// Blocks   until the next one is done; inside a task it runs the work that it waits for.
    /// Throws   timeout_error "k (of n) futures unfinished", would_deadlock.
    iterator begin() { return iterator(*this); }
    std::default_sentinel_t end() const noexcept { return {}; }

    /// One more, while the loop runs. The range keeps it.
    void add(Element element)
        requires detail::some_future<Element>;

    /// The same without a loop: a pointer to the next one that is done, null at the end. Converting
    /// it blocks; in a coroutine of an event_loop, co_await it.
    class step;
    step next() noexcept;

private:
    struct entry;
    struct shared_part;

    explicit completed_range(std::optional<duration> timeout);

    void watch(Element& element, detail::state& s);
    Element* wait_for_next();
    Element* take_next();

    std::unique_ptr<shared_part> part_;

    template <detail::any_range Range, class Projection>
        requires(!std::convertible_to<Projection, duration>)
    friend auto as_completed(Range&& range, Projection projection, std::optional<duration> timeout);
};

/// The elements of a range of futures, each once, done ones first. Elements may be futures, pairs
/// or tuples with a future at the end (a std::map), or anything with a projection. Those that are
/// not valid() are skipped. References are to the range's own elements; a container given as an
/// rvalue is moved in, and can grow by add().
///
/// timeout  for the whole loop, from this call.
/// Cost     one list node per future; each step wakes at most one thread.
template <detail::any_range Range, class Projection>
    requires(!std::convertible_to<Projection, duration>)
auto as_completed(Range&& range, Projection projection, std::optional<duration> timeout = {});

template <detail::any_range Range>
auto as_completed(Range&& range, std::optional<duration> timeout = {}) {
    return as_completed(std::forward<Range>(range), detail::future_inside{}, timeout);
}

// ---- implementation

template <class Element>
struct completed_range<Element>::entry final : detail::waiter {
    entry(shared_part& p, Element& e, detail::state_ref s)
        : waiter(waiter::when::under_lock, &entry::state_done),
          part(p),
          element(&e),
          watched(std::move(s)) {}
    static void state_done(detail::waiter& w) noexcept {
        auto& self = static_cast<entry&>(w);
        self.part.put(self);
    }
    shared_part& part;
    Element* element;
    detail::state_ref watched;  // until it is handed out
    entry* next_ready = nullptr;
};

// Protocol [completed]
// ready list   completing threads append under `mutex`, the looping thread takes from the front.
// Invariant    an entry is either linked to its state, or in the ready list, or handed out; the
//              destructor unlinks the first kind before anything is freed.
template <class Element>
struct completed_range<Element>::shared_part {
    ~shared_part() {
        for (auto& e : entries) {
            if (e.watched) e.watched->remove_waiter(e);
        }
    }

    void put(entry& e) noexcept {
        {
            std::lock_guard const lock(mutex);
            (last_ready ? last_ready->next_ready : first_ready) = &e;
            last_ready = &e;
        }
        spot.wake();
    }

    entry* take() noexcept {
        std::lock_guard const lock(mutex);
        entry* const e = first_ready;
        if (e) {
            first_ready = e->next_ready;
            if (!first_ready) last_ready = nullptr;
        }
        return e;
    }

    bool any_ready() noexcept {
        std::lock_guard const lock(mutex);
        return first_ready != nullptr;
    }

    bool help() {
        while (first_open < entries.size() && closed(entries[first_open])) ++first_open;
        for (auto i = first_open; i < entries.size(); ++i) {
            if (!closed(entries[i]) && detail::help_with(*entries[i].watched)) return true;
        }
        return false;
    }
    static bool closed(entry const& e) noexcept { return !e.watched || e.watched->done(); }

    std::deque<std::remove_const_t<Element>> owned;
    std::deque<entry> entries;
    std::set<detail::state const*> seen;
    std::mutex mutex;
    entry* first_ready = nullptr;
    entry* last_ready = nullptr;
    detail::wake_spot spot;
    detail::time_point deadline;
    std::size_t handed_out = 0;
    std::size_t first_open = 0;
};

template <class Element>
class completed_range<Element>::step {
public:
    operator Element*() const { return range_->wait_for_next(); }

    // For awaiters.
    bool ready() const noexcept {
        auto& part = *range_->part_;
        return part.handed_out == part.entries.size() || part.any_ready();
    }
    Element* take() const { return ready() ? range_->take_next() : range_->wait_for_next(); }
    detail::wake_spot& spot() const noexcept { return range_->part_->spot; }
    detail::time_point deadline() const noexcept { return range_->part_->deadline; }

private:
    friend class completed_range;
    explicit step(completed_range& range) noexcept : range_(&range) {}
    completed_range* range_;
};

template <class Element>
auto completed_range<Element>::next() noexcept -> step {
    return step(*this);
}

template <class Element>
class completed_range<Element>::iterator {
public:
    using value_type = Element;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    iterator() = default;
    explicit iterator(completed_range& range) : range_(&range), current_(range.wait_for_next()) {}

    Element& operator*() const noexcept { return *current_; }
    Element* operator->() const noexcept { return current_; }
    iterator& operator++() {
        current_ = nullptr;
        current_ = range_->wait_for_next();
        return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(iterator const& it, std::default_sentinel_t) noexcept {
        return it.current_ == nullptr;
    }

private:
    completed_range* range_ = nullptr;
    Element* current_ = nullptr;
};

template <class Element>
completed_range<Element>::completed_range(std::optional<duration> timeout)
    : part_(std::make_unique<shared_part>()) {
    part_->deadline = detail::deadline_of(timeout);
}

template <class Element>
void completed_range<Element>::watch(Element& element, detail::state& s) {
    if (!part_->seen.insert(&s).second) return;
    auto& e = part_->entries.emplace_back(*part_, element, detail::state_ref::share(s));
    if (!s.add_waiter(e)) part_->put(e);
}

template <class Element>
void completed_range<Element>::add(Element element)
    requires detail::some_future<Element>
{
    auto& kept = part_->owned.emplace_back(std::move(element));
    if (auto* const s = detail::future_access::state_in(kept)) watch(kept, *s);
}

template <class Element>
Element* completed_range<Element>::wait_for_next() {
    auto& part = *part_;
    if (part.handed_out == part.entries.size()) return nullptr;
    bool const in_time =
        detail::block_until([&] { return part.any_ready(); }, [&] { return part.help(); }, nullptr,
                            part.spot.sleeper, part.deadline);
    if (!in_time) {
        auto const all = part.entries.size();
        throw timeout_error(
            detail::text("%zu (of %zu) futures unfinished", all - part.handed_out, all));
    }
    return take_next();
}

/// One is ready, or all were handed out.
template <class Element>
Element* completed_range<Element>::take_next() {
    auto& part = *part_;
    entry* const e = part.take();
    if (!e) return nullptr;
    ++part.handed_out;
    // The completing thread may still be about to leave the list: wait for it, then let go.
    e->watched->remove_waiter(*e);
    part.seen.erase(e->watched.get());
    e->watched = {};
    return e->element;
}

template <detail::any_range Range, class Projection>
    requires(!std::convertible_to<Projection, duration>)
auto as_completed(Range&& range, Projection projection, std::optional<duration> timeout) {
    using reference = std::ranges::range_reference_t<Range>;
    if constexpr (detail::kept_range<Range>) {
        using element = std::remove_reference_t<reference>;
        completed_range<element> completed(timeout);
        for (auto& e : range) {
            if (auto* const s = detail::state_in_element(projection, e)) completed.watch(e, *s);
        }
        return completed;
    } else {
        // An rvalue container or a single-pass range: the elements are moved in.
        using element = std::ranges::range_value_t<Range>;
        completed_range<element> completed(timeout);
        for (auto&& e : range) {
            if constexpr (std::is_lvalue_reference_v<Range>) {
                completed.part_->owned.push_back(std::forward<decltype(e)>(e));
            } else {
                completed.part_->owned.push_back(std::move(e));
            }
        }
        for (auto& e : completed.part_->owned) {
            if (auto* const s = detail::state_in_element(projection, e)) completed.watch(e, *s);
        }
        return completed;
    }
}

}  // namespace concur::inline v0

// SPDX-License-Identifier: BSL-1.0
// What map and map_unordered give: lazy, single-pass ranges of results. At most `window` inputs are
// in flight or unread, so an endless input needs bounded memory. Dropping one early cancels what
// has not started, asks what runs to stop and waits for it, for it may use your locals. One thread
// at a time. Not copyable. Each step blocks until there is a result; inside a task of the same
// executor it runs the work.
#pragma once

#include <iterator>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <concur/detail/verbs/map_run.hpp>
#include <concur/outcome.hpp>

namespace concur::inline v0 {

namespace detail {

/// A single-pass range over what a `Step` gives: an element, or nothing at the end.
template <class Element, class Step>
class stepping_range {
public:
    class iterator {
    public:
        using value_type = Element;
        using difference_type = std::ptrdiff_t;
        using iterator_concept = std::input_iterator_tag;

        iterator() = default;
        explicit iterator(stepping_range& range) : range_(&range) { range_->advance(); }
        Element& operator*() const noexcept { return *range_->current_; }
        Element* operator->() const noexcept { return &*range_->current_; }
        iterator& operator++() {
            range_->advance();
            return *this;
        }
        void operator++(int) { ++*this; }
        bool operator==(std::default_sentinel_t) const noexcept { return !range_->current_; }

    private:
        stepping_range* range_ = nullptr;
    };

    /// Blocks   until there is a first result, as ++ does for the next.
    /// Throws   what the item threw, what the input threw, timeout_error at the deadline; then the
    ///          range is at its end.
    iterator begin() { return iterator(*this); }
    std::default_sentinel_t end() const noexcept { return {}; }

    /// The same without iterators: a pointer to the next result, null at the end. Converting it
    /// blocks; in a coroutine of an event_loop, co_await it.
    class step {
    public:
        operator Element*() const { return take(); }

        // For awaiters.
        bool ready() const { return range_->step_.stream->ready(Step::in_order); }
        Element* take() const {
            range_->advance();
            return range_->current_ ? &*range_->current_ : nullptr;
        }
        wake_spot& spot() const noexcept { return range_->step_.stream->spot(); }
        time_point deadline() const noexcept { return range_->step_.stream->deadline(); }

    private:
        friend class stepping_range;
        explicit step(stepping_range& range) noexcept : range_(&range) {}
        stepping_range* range_;
    };
    step next() noexcept { return step(*this); }

protected:
    explicit stepping_range(decltype(Step::stream) stream) { step_.stream = std::move(stream); }
    Step step_;

private:
    void advance() {
        current_.reset();  // the memory of the last one goes before the next is waited for
        if (auto next = step_()) current_.emplace(std::move(*next));
    }
    std::optional<Element> current_;
};

template <class R>
using value_of_result = std::conditional_t<std::is_void_v<R>, std::monostate, R>;

/// The steps of the four ranges: in order or as ready, values or outcomes.
template <class R, bool Ordered>
struct map_steps {
    using item = typename map_stream<R>::item;
    static constexpr bool in_order = Ordered;

    std::optional<item> next() {
        if constexpr (Ordered) {
            return stream->next_in_order();
        } else {
            return stream->next_ready();
        }
    }

    /// The next one, which must hold a value.
    std::optional<std::pair<std::size_t, value_of_result<R>>> next_value() {
        std::optional<item> found = next();
        if (!found) return std::nullopt;
        if (!found->second) {
            stream->stop();
            found->second.value();
        }
        if constexpr (std::is_void_v<R>) {
            return std::pair(found->first, std::monostate{});
        } else {
            return std::pair<std::size_t, R>(found->first, *std::move(found->second));
        }
    }

    std::unique_ptr<map_stream<R>> stream;
};

template <class R>
struct ordered_values : map_steps<R, true> {
    std::optional<value_of_result<R>> operator()() {
        auto found = this->next_value();
        if (!found) return std::nullopt;
        return std::optional<value_of_result<R>>(std::move(found->second));
    }
};
template <class R>
struct ordered_outcomes : map_steps<R, true> {
    std::optional<outcome<R>> operator()() {
        auto found = this->next();
        if (!found) return std::nullopt;
        return std::optional<outcome<R>>(std::move(found->second));
    }
};
template <class R>
struct unordered_values : map_steps<R, false> {
    auto operator()() { return this->next_value(); }
};
template <class R>
struct unordered_outcomes : map_steps<R, false> {
    auto operator()() { return this->next(); }
};

/// The rest of a range as a vector.
template <class Range>
auto collect_rest(Range& range) {
    std::vector<std::ranges::range_value_t<Range>> values;
    for (auto& value : range) values.push_back(std::move(value));
    return values;
}

}  // namespace detail

/// outcome<R> for every input, in input order: a failure neither ends nor cancels the map.
template <class R>
class [[nodiscard]] map_outcomes
    : public detail::stepping_range<outcome<R>, detail::ordered_outcomes<R>> {
public:
    explicit map_outcomes(std::unique_ptr<detail::map_stream<R>> stream)
        : detail::stepping_range<outcome<R>, detail::ordered_outcomes<R>>(std::move(stream)) {}

    std::vector<outcome<R>> collect() { return detail::collect_rest(*this); }
};

/// R for every input, in input order (std::monostate for a void f).
template <class R>
class [[nodiscard]] map_result
    : public detail::stepping_range<detail::value_of_result<R>, detail::ordered_values<R>> {
public:
    explicit map_result(std::unique_ptr<detail::map_stream<R>> stream)
        : detail::stepping_range<detail::value_of_result<R>, detail::ordered_values<R>>(
              std::move(stream)) {}

    /// Everything that is left: the fastest way to take it all. Random-access inputs are then run
    /// as one loop in which the caller takes part.
    std::conditional_t<std::is_void_v<R>, void, std::vector<detail::value_of_result<R>>> collect() {
        if constexpr (std::is_void_v<R>) {
            this->step_.stream->collect();
        } else {
            return this->step_.stream->collect();
        }
    }

    /// The same results as outcomes. To be called before reading.
    map_outcomes<R> outcomes() { return map_outcomes<R>(std::move(this->step_.stream)); }
};

/// (position, outcome<R>) for every input, as they complete.
template <class R>
class [[nodiscard]] unordered_map_outcomes
    : public detail::stepping_range<std::pair<std::size_t, outcome<R>>,
                                    detail::unordered_outcomes<R>> {
public:
    explicit unordered_map_outcomes(std::unique_ptr<detail::map_stream<R>> stream)
        : detail::stepping_range<std::pair<std::size_t, outcome<R>>, detail::unordered_outcomes<R>>(
              std::move(stream)) {}

    std::vector<std::pair<std::size_t, outcome<R>>> collect() {
        return detail::collect_rest(*this);
    }
};

/// (position, R) for every input, as they complete.
template <class R>
class [[nodiscard]] unordered_map_result
    : public detail::stepping_range<std::pair<std::size_t, detail::value_of_result<R>>,
                                    detail::unordered_values<R>> {
public:
    explicit unordered_map_result(std::unique_ptr<detail::map_stream<R>> stream)
        : detail::stepping_range<std::pair<std::size_t, detail::value_of_result<R>>,
                                 detail::unordered_values<R>>(std::move(stream)) {}

    std::vector<std::pair<std::size_t, detail::value_of_result<R>>> collect() {
        return detail::collect_rest(*this);
    }
    unordered_map_outcomes<R> outcomes() {
        return unordered_map_outcomes<R>(std::move(this->step_.stream));
    }
};

}  // namespace concur::inline v0

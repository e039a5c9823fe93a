// SPDX-License-Identifier: BSL-1.0
// Where the items of a map come from: ranges that may be read at any position by any worker, or
// ranges that only the thread which iterates reads, one item after the other.
#pragma once

#include <coroutine>
#include <limits>
#include <memory>
#include <span>  // the smallest standard header that brings the range concepts
#include <stop_token>
#include <tuple>
#include <type_traits>
#include <utility>

#include <concur/callable.hpp>
#include <concur/detail/task/stop.hpp>

namespace concur::inline v0::detail {

template <class R>
concept coroutine_type = requires { typename std::coroutine_traits<R>::promise_type; };

/// f as it is called for an item: const, because several workers share it.
template <class F, class... Items>
concept item_function = std::is_invocable_v<F const&, Items...> ||
                        std::is_invocable_v<F const&, std::stop_token, Items...>;

template <class F, class... Items>
decltype(auto) call_item(F const& f, Items&&... items) {
    if constexpr (std::is_invocable_v<F const&, Items...>) {
        return call(f, std::forward<Items>(items)...);
    } else {
        return call(f, current_stop_token(), std::forward<Items>(items)...);
    }
}

/// The function of a loop for one chunk: a copy where that is as good, so that the compiler may
/// keep what it captured in registers; else a pointer to the one that is kept.
template <class F>
class function_handle {
    static constexpr bool copied = std::is_trivially_copyable_v<F> && sizeof(F) <= cache_line;

public:
    explicit function_handle(F const& f) : held_(hold(f)) {}
    F const& get() const noexcept {
        if constexpr (copied) {
            return held_;
        } else {
            return *held_;
        }
    }

private:
    static auto hold(F const& f) {
        if constexpr (copied) {
            return f;
        } else {
            return std::addressof(f);
        }
    }
    std::conditional_t<copied, F, F const*> held_;
};

/// An item of a loop for the items of an indexed_source, whose results are not wanted.
template <class Reader, class F>
struct each_item {
    void operator()(std::size_t position) const {
        static_cast<void>(read.call_at(f.get(), position));
    }
    void walk(task_context& context, std::size_t& i, std::size_t last) const {
        read.walk(f.get(), context, i, last);
    }
    Reader read;
    function_handle<F> f;
};

/// A range for the length of a map: a container that the user keeps is referred to, a view or an
/// rvalue container is moved in.
template <class Range>
class kept_input {
    using range_type = std::remove_reference_t<Range>;
    static constexpr bool by_reference =
        std::is_lvalue_reference_v<Range> &&
        (!std::ranges::enable_view<std::remove_cv_t<range_type>> ||
         !std::is_copy_constructible_v<std::remove_cv_t<range_type>>);

public:
    explicit kept_input(Range&& range) : range_(hold(range)) {}

    auto& get() noexcept {
        if constexpr (by_reference) {
            return *range_;
        } else {
            return range_;
        }
    }
    using type = std::conditional_t<by_reference, range_type, std::remove_cv_t<range_type>>;
    using reference = std::ranges::range_reference_t<type>;
    using value_type = std::ranges::range_value_t<type>;

private:
    static auto hold(range_type& range) {
        if constexpr (by_reference) {
            return &range;
        } else if constexpr (std::is_lvalue_reference_v<Range>) {
            return std::remove_cv_t<range_type>(range);
        } else {
            return std::remove_cv_t<range_type>(std::move(range));
        }
    }
    std::conditional_t<by_reference, range_type*, std::remove_cv_t<range_type>> range_;
};

template <class Range>
concept position_range =
    std::ranges::random_access_range<typename kept_input<Range>::type> &&
    std::sized_sentinel_for<std::ranges::sentinel_t<typename kept_input<Range>::type>,
                            std::ranges::iterator_t<typename kept_input<Range>::type>>;

/// Random access: any worker reads any position.
template <class... Ranges>
class indexed_source {
public:
    static constexpr bool indexed = true;

    template <class F>
    static constexpr bool accepts = item_function<F, typename kept_input<Ranges>::reference...>;
    template <class F>
    using result = decltype(call_item(std::declval<F const&>(),
                                      std::declval<typename kept_input<Ranges>::reference>()...));

    /// Reads any position: small, and copied where it is used a lot, for the compiler then knows
    /// that what f writes does not change it.
    class reader {
    public:
        explicit reader(std::ranges::iterator_t<typename kept_input<Ranges>::type>... begins)
            : begins_(std::move(begins)...) {}

        /// Calls f for the item at this position.
        template <class F>
        decltype(auto) call_at(F const& f, std::size_t position) const {
            return std::apply(
                [&](auto const&... begin) -> decltype(auto) {
                    return call_item(f, begin[static_cast<std::iter_difference_t<
                                            std::remove_cvref_t<decltype(begin)>>>(position)]...);
                },
                begins_);
        }

        /// Calls f for the items from position i to last, and keeps i and the context up to date.
        /// By iterators and with <, for then the compiler sees that an index does not wrap.
        template <class F>
        void walk(F const& f, task_context& context, std::size_t& i, std::size_t last) const {
            auto const at = [this](std::size_t position) {
                return std::apply(
                    [position](auto const&... begin) {
                        return std::tuple(
                            begin +
                            static_cast<
                                std::iter_difference_t<std::remove_cvref_t<decltype(begin)>>>(
                                position)...);
                    },
                    begins_);
            };
            auto const end = std::get<0>(at(last));
            std::apply(
                [&](auto... it) {
                    auto& first = std::get<0>(std::tie(it...));
                    for (; first < end; (++it, ...), ++i) {
                        context.position = item_position{i};
                        static_cast<void>(call_item(f, *it...));
                    }
                },
                at(i));
        }

    private:
        std::tuple<std::ranges::iterator_t<typename kept_input<Ranges>::type>...> begins_;
    };

    explicit indexed_source(Ranges&&... ranges)
        : ranges_(std::forward<Ranges>(ranges)...),
          reader_(std::apply(
              [](auto&... range) { return reader(std::ranges::begin(range.get())...); }, ranges_)) {
        std::apply(
            [this](auto&... range) { ((size_ = std::min(size_, length(range.get()))), ...); },
            ranges_);
    }
    indexed_source(indexed_source const&) = delete;
    indexed_source& operator=(indexed_source const&) = delete;

    std::size_t size() const noexcept { return size_; }

    reader const& positions() const noexcept { return reader_; }

private:
    template <class Range>
    static std::size_t length(Range& range) {
        auto const n = std::ranges::end(range) - std::ranges::begin(range);
        return n > 0 ? static_cast<std::size_t>(n) : 0;
    }

    std::tuple<kept_input<Ranges>...> ranges_;
    reader reader_;
    std::size_t size_ = std::numeric_limits<std::size_t>::max();
};

/// An item that was read ahead of its call: by value, or as a pointer into a container that is kept
/// and may be walked several times.
template <class Range>
struct item_cell {
    using kept = kept_input<Range>;
    using value_type = typename kept::value_type;
    using argument = value_type&&;
    explicit item_cell(typename kept::reference item) : value(hand_over(item)) {}
    argument get() noexcept { return std::move(value); }
    value_type value;

private:
    /// A copy; what cannot be copied is moved, for there is no other way.
    static decltype(auto) hand_over(std::remove_reference_t<typename kept::reference>& item) {
        if constexpr (std::is_lvalue_reference_v<typename kept::reference> &&
                      std::is_copy_constructible_v<value_type>) {
            return item;
        } else {
            return std::move(item);
        }
    }
};
template <class Range>
struct reference_cell {
    using kept = kept_input<Range>;
    using argument = typename kept::reference;
    explicit reference_cell(argument item) : pointer(std::addressof(item)) {}
    argument get() noexcept { return *pointer; }
    std::remove_reference_t<argument>* pointer;
};

template <class Range>
concept stable_range = std::ranges::forward_range<typename kept_input<Range>::type> &&
                       std::is_lvalue_reference_v<typename kept_input<Range>::reference>;

/// By reference where that is possible, range by range.
template <class Range>
using best_cell = std::conditional_t<stable_range<Range>, reference_cell<Range>, item_cell<Range>>;

template <class F, class... Ranges>
concept takes_references = item_function<F, typename best_cell<Ranges>::argument...>;

/// One item after the other, read by one thread.
template <template <class> class Cell, class... Ranges>
class streamed_source {
public:
    static constexpr bool indexed = false;
    using item = std::tuple<Cell<Ranges>...>;

    template <class F>
    static constexpr bool accepts = item_function<F, typename Cell<Ranges>::argument...>;
    template <class F>
    using result = decltype(call_item(std::declval<F const&>(),
                                      std::declval<typename Cell<Ranges>::argument>()...));

    explicit streamed_source(Ranges&&... ranges) : ranges_(std::forward<Ranges>(ranges)...) {}
    streamed_source(streamed_source const&) = delete;
    streamed_source& operator=(streamed_source const&) = delete;

    /// Reads one item to `take`; false at the end. Throws what the ranges throw.
    template <class Take>
    bool read(Take&& take) {
        return read(take, std::index_sequence_for<Ranges...>());
    }

    template <class F>
    static decltype(auto) call_with(F const& f, item& cells) {
        return std::apply(
            [&](auto&... cell) -> decltype(auto) { return call_item(f, cell.get()...); }, cells);
    }

private:
    template <class Take, std::size_t... I>
    bool read(Take& take, std::index_sequence<I...>) {
        if (!iterators_) {
            iterators_ =
                std::make_unique<iterators>(std::ranges::begin(std::get<I>(ranges_).get())...);
        } else {
            (++std::get<I>(*iterators_), ...);
        }
        bool const ended =
            ((std::get<I>(*iterators_) == std::ranges::end(std::get<I>(ranges_).get())) || ...);
        if (ended) return false;
        take(Cell<Ranges>(*std::get<I>(*iterators_))...);
        return true;
    }

    using iterators = std::tuple<std::ranges::iterator_t<typename kept_input<Ranges>::type>...>;

    std::tuple<kept_input<Ranges>...> ranges_;
    std::unique_ptr<iterators> iterators_;  // null before the first read: begin() may throw
};

/// The source for these ranges and this function.
template <class F, class... Ranges>
using source_for = std::conditional_t<
    (position_range<Ranges> && ...), indexed_source<Ranges...>,
    std::conditional_t<takes_references<F, Ranges...>, streamed_source<best_cell, Ranges...>,
                       streamed_source<item_cell, Ranges...>>>;

/// What f gives for these ranges; void when it cannot be called.
template <class F, class... Ranges>
constexpr auto item_result() {
    using source = source_for<F, Ranges...>;
    if constexpr (source::template accepts<F>) {
        return std::type_identity<std::decay_t<typename source::template result<F>>>{};
    } else {
        return std::type_identity<void>{};
    }
}
template <class F, class... Ranges>
using item_result_t = typename decltype(item_result<F, Ranges...>())::type;

/// Whether the executor with this core runs functions with this result. event_loop says more.
template <class Core, class Result>
inline constexpr bool accepts_result = !coroutine_type<Result>;

template <class Core, class F, class... Ranges>
constexpr bool check_items() {
    static_assert(sizeof...(Ranges) != 0, "map(f, ranges...): there is no range behind f");
    constexpr bool ranges = sizeof...(Ranges) != 0 && (std::ranges::input_range<Ranges> && ...);
    static_assert(ranges, "map(f, ranges...): the arguments behind f must be input ranges");
    if constexpr (ranges) {
        constexpr bool callable = source_for<F, Ranges...>::template accepts<F>;
        static_assert(callable,
                      "map(f, ranges...): f cannot be called with the elements of these ranges "
                      "(as const, for it is shared; items of a single-pass range are rvalues)");
        if constexpr (callable) {
            constexpr bool accepted = accepts_result<Core, item_result_t<F, Ranges...>>;
            static_assert(accepted,
                          "map(f, ranges...): f is a coroutine function, which needs an event_loop "
                          "and returns a concur::task<T> or a boost::asio::awaitable<T>; this "
                          "executor does not run it");
            return accepted;
        }
    }
    return false;
}

}  // namespace concur::inline v0::detail

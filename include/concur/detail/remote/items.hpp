// SPDX-License-Identifier: BSL-1.0
// How the items of a chunk travel: slices of their ranges where these are numbers that count up, or
// stand in memory one behind the other; else item by item. The caller writes them, a worker reads.
#pragma once

#include <cstring>
#include <memory>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <concur/codec.hpp>
#include <concur/detail/remote/wire.hpp>
#include <concur/detail/verbs/source.hpp>

namespace concur::inline v0::detail {

// ---- what is sent of one range

template <class Range>
inline constexpr bool counts_up = false;
template <std::integral T, class Bound>
inline constexpr bool counts_up<std::ranges::iota_view<T, Bound>> = true;

/// The elements are their own image in memory.
template <class Range>
concept image_range =
    std::ranges::contiguous_range<Range> &&
    std::same_as<
        std::remove_const_t<std::remove_reference_t<std::ranges::range_reference_t<Range>>>,
        std::ranges::range_value_t<Range>> &&
    wire_of<std::ranges::range_value_t<Range>> == wire::bytes &&
    plain_size<std::ranges::range_value_t<Range>> != 0;

/// first, first + 1, ...: the first one travels.
template <class T>
struct counted_slice {
    using value_type = T;
    static constexpr std::size_t bytes(std::size_t) noexcept { return sizeof(T); }
    template <class Iterator>
    static void write(std::byte* to, Iterator const& from, std::size_t) {
        T const first = *from;
        std::memcpy(to, &first, sizeof first);
    }

    explicit counted_slice(T f) noexcept : first(f) {}
    explicit counted_slice(std::byte const* from) noexcept {
        std::memcpy(&first, from, sizeof first);
    }
    T get(std::size_t i) const noexcept {
        using wide = std::make_unsigned_t<T>;
        return static_cast<T>(static_cast<wide>(static_cast<wide>(first) + static_cast<wide>(i)));
    }
    T first;
};

/// The bytes of all.
template <class T>
struct copied_slice {
    using value_type = T;
    static constexpr std::size_t bytes(std::size_t n) noexcept { return n * sizeof(T); }
    template <class Iterator>
    static void write(std::byte* to, Iterator const& from, std::size_t n) {
        std::memcpy(to, static_cast<void const*>(std::to_address(from)), bytes(n));
    }

    explicit copied_slice(std::byte const* from) noexcept : all(from) {}
    T get(std::size_t i) const {
        return read_pass(all + i * sizeof(T), sizeof(T)).template get<T>();
    }
    std::byte const* all;
};

template <class Range>
consteval auto choose_slice() {
    using value = std::ranges::range_value_t<Range>;
    if constexpr (counts_up<Range>) {
        return std::type_identity<counted_slice<value>>{};
    } else if constexpr (image_range<Range>) {
        return std::type_identity<copied_slice<value>>{};
    } else {
        return std::type_identity<void>{};
    }
}
template <class Range>
using slice_of = typename decltype(choose_slice<typename kept_input<Range>::type>())::type;

/// How many elements are left is known without walking, or there is no end.
template <class Range>
concept measured_range =
    position_range<Range> || std::same_as<std::ranges::sentinel_t<typename kept_input<Range>::type>,
                                          std::unreachable_sentinel_t>;

// ---- what is sent of all ranges: each of these names the items' types, and has a cursor, with
// which a worker reads

/// A slice of each range, each at a multiple of 64.
template <class... Slices>
struct sliced_items {
    static constexpr bool hold_handles = false;
    using values = std::tuple<typename Slices::value_type...>;

    static constexpr std::size_t bytes(std::size_t n) noexcept {
        return (aligned_up(Slices::bytes(n), 64) + ...);
    }
    template <class Iterators>
    static void write(std::byte* to, Iterators const& from, std::size_t n) {
        std::apply(
            [&](auto const&... each) {
                ((Slices::write(to, each, n), to += aligned_up(Slices::bytes(n), 64)), ...);
            },
            from);
    }

    class cursor {
    public:
        cursor(std::byte const* from, std::size_t, std::size_t n) noexcept
            : slices_{Slices(std::exchange(from, from + aligned_up(Slices::bytes(n), 64)))...} {}
        void next() noexcept { ++at_; }
        values get() const {
            return std::apply([this](auto const&... each) { return values{each.get(at_)...}; },
                              slices_);
        }

    private:
        std::tuple<Slices...> slices_;
        std::size_t at_ = 0;
    };
};

/// Items of a known size, one behind the other.
template <class... Items>
struct packed_items {
    static constexpr bool hold_handles = false;
    using values = std::tuple<Items...>;

    /// Bytes of one item.
    static constexpr std::size_t step = [] {
        std::size_t at = 0;
        ((at = aligned_up(at, alignof(Items)) + fixed_wire_size<Items>), ...);
        return aligned_up(at, 8);
    }();

    class cursor {
    public:
        cursor(std::byte const* from, std::size_t, std::size_t) noexcept : at_(from) {}
        void next() noexcept { at_ += step; }
        values get() const {
            read_pass in(at_, step);
            return values{in.template get<Items>()...};
        }

    private:
        std::byte const* at_;
    };
};

/// Others: each behind its size, both at multiples of 64.
template <class... Items>
struct framed_items {
    static constexpr bool hold_handles = true;
    using values = std::tuple<Items...>;

    class cursor {
    public:
        cursor(std::byte const* from, std::size_t bytes, std::size_t) noexcept
            : at_(from), left_(bytes) {}
        void next() {
            auto const whole = 64 + aligned_up(size(), 64);
            at_ += whole;
            left_ -= std::min(whole, left_);
        }
        values get() const {
            read_pass in(at_ + 64, size());
            return values{in.template get<Items>()...};
        }

    private:
        std::size_t size() const {
            std::uint64_t size;
            if (left_ < 64) throw codec_error("a chunk of a map is cut short");
            std::memcpy(&size, at_, sizeof size);
            if (size > left_ - 64) throw codec_error("a chunk of a map is cut short");
            return static_cast<std::size_t>(size);
        }

        std::byte const* at_;
        std::size_t left_;
    };
};

template <class... Items>
using encoded_items =
    std::conditional_t<((fixed_wire_size<Items> != 0 && alignof(Items) <= 8) && ...),
                       packed_items<Items...>, framed_items<Items...>>;

// ---- where the caller reads them

/// Where items are written, and who is told of the handles in them.
struct items_room {
    std::byte* memory;
    carrier* pins;
};

/// What came of reading some items.
struct items_read {
    std::size_t count = 0;
    std::size_t bytes = 0;
    bool ended = false;
    std::exception_ptr problem;  ///< of the item behind them; null: none
};

/// Ranges of which slices are sent.
template <class... Ranges>
class sliced_source {
public:
    using items = sliced_items<slice_of<Ranges>...>;

    explicit sliced_source(Ranges&&... ranges) : ranges_(std::forward<Ranges>(ranges)...) {}
    sliced_source(sliced_source const&) = delete;
    sliced_source& operator=(sliced_source const&) = delete;

    /// At most n items, to room(bytes).
    template <class Room>
    items_read read(std::size_t n, Room&& room) {
        items_read done;
        try {
            auto const rest = left();
            done.ended = rest < n;
            done.count = std::min(rest, n);
            known_left_ = rest == endless ? 0 : rest - done.count;
        } catch (...) {
            done.problem = std::current_exception();
        }
        if (done.count == 0) return done;
        done.bytes = items::bytes(done.count);
        items::write(room(done.bytes).memory, *at_, done.count);
        std::apply([&](auto&... it) { (advance(it, done.count), ...); }, *at_);
        return done;
    }

    /// How many items were left after the last read; 0: there is no end.
    std::size_t known_left() const noexcept { return known_left_; }

private:
    static constexpr std::size_t endless = static_cast<std::size_t>(-1);
    using iterators = std::tuple<std::ranges::iterator_t<typename kept_input<Ranges>::type>...>;

    std::size_t left() { return left(std::index_sequence_for<Ranges...>()); }
    template <std::size_t... I>
    std::size_t left(std::index_sequence<I...>) {
        if (!at_) at_.emplace(std::ranges::begin(std::get<I>(ranges_).get())...);
        auto rest = endless;
        ((rest = std::min(rest, length(std::get<I>(*at_), std::get<I>(ranges_).get()))), ...);
        return rest;
    }
    template <class Iterator, class Range>
    static std::size_t length(Iterator const& from, Range& range) {
        if constexpr (std::same_as<std::ranges::sentinel_t<Range>, std::unreachable_sentinel_t>) {
            return endless;
        } else {
            auto const n = std::ranges::end(range) - from;
            return n > 0 ? static_cast<std::size_t>(n) : 0;
        }
    }
    template <class Iterator>
    static void advance(Iterator& it, std::size_t n) {
        it += static_cast<std::iter_difference_t<Iterator>>(n);
    }

    std::tuple<kept_input<Ranges>...> ranges_;
    std::size_t known_left_ = 0;
    std::optional<iterators> at_;  // nothing before the first read: begin() may throw
};

/// Ranges that are read item by item.
template <class... Ranges>
class encoded_source {
    using streamed = streamed_source<item_cell, Ranges...>;

public:
    using items = encoded_items<typename kept_input<Ranges>::value_type...>;

    explicit encoded_source(Ranges&&... ranges) : source_(std::forward<Ranges>(ranges)...) {}

    /// At most n items, to room(bytes).
    template <class Room>
    items_read read(std::size_t n, Room&& room) {
        items_read done;
        if constexpr (items::hold_handles) {
            read_framed(n, room, done);
        } else {
            auto* const to = room(n * items::step).memory;
            read_up_to(n, done, [&](auto&&... cell) {
                write_pass out(to + done.bytes, items::step);
                (out(cell.value), ...);
                done.bytes += items::step;
            });
        }
        return done;
    }

    std::size_t known_left() const noexcept { return 0; }

private:
    /// Sized first, then written.
    template <class Room>
    void read_framed(std::size_t n, Room& room, items_read& done) {
        std::vector<std::pair<typename streamed::item, std::size_t>> all;
        read_up_to(n, done, [&](auto&&... cell) {
            size_pass size;
            (size(cell.value), ...);
            all.emplace_back(typename streamed::item(std::forward<decltype(cell)>(cell)...),
                             size.bytes());
            done.bytes += 64 + aligned_up(size.bytes(), 64);
        });
        if (done.count == 0) return;
        auto const into = room(done.bytes);
        carry_scope const carrying(into.pins);
        auto* to = into.memory;
        for (auto& [cells, size] : all) {
            std::uint64_t const wide = size;
            std::memcpy(to, &wide, sizeof wide);
            write_pass out(to + 64, size);
            std::apply([&](auto&... cell) { (out(cell.value), ...); }, cells);
            to += 64 + aligned_up(size, 64);
        }
    }

    template <class Take>
    void read_up_to(std::size_t n, items_read& done, Take take) {
        auto const counted = [&](auto&&... cell) {
            take(std::forward<decltype(cell)>(cell)...);
            ++done.count;
        };
        try {
            while (done.count < n && source_.read(counted)) {
            }
            done.ended = done.count < n;
        } catch (...) {
            done.problem = std::current_exception();
        }
    }

    streamed source_;
};

template <class... Ranges>
using far_source =
    std::conditional_t<((!std::is_void_v<slice_of<Ranges>> && measured_range<Ranges>) && ...),
                       sliced_source<Ranges...>, encoded_source<Ranges...>>;

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// The chunks of a lazy map: a few inputs each, run as one job, read item by item while it runs.
#pragma once

#include <atomic>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <concur/detail/sync/wake_spot.hpp>
#include <concur/detail/task/blocking.hpp>
#include <concur/detail/verbs/item.hpp>
#include <concur/detail/verbs/source.hpp>
#include <concur/outcome.hpp>

namespace concur::inline v0::detail {

/// Runs an item, with its time limit if it has one, and keeps what comes of it.
template <class R, class F>
outcome<R> outcome_of(std::optional<duration> const& limit, F&& f) noexcept {
    try {
        if constexpr (std::is_void_v<R>) {
            limit ? static_cast<void>(item_limit::call(*limit, f)) : static_cast<void>(f());
            return outcome<void>();
        } else {
            if (limit) return outcome<R>(static_cast<R>(item_limit::call(*limit, f)));
            return outcome<R>(static_cast<R>(f()));
        }
    } catch (...) {
        return outcome<R>(std::current_exception());
    }
}

/// How many items the next chunk has: grows and shrinks with the measured time of the last ones.
/// Any thread. [tuning] relaxed throughout: a hint, and each update stands for itself.
class chunk_tuner {
public:
    chunk_tuner(std::size_t fixed, std::size_t most, duration aim)
        : fixed_(fixed), most_(std::max<std::size_t>(most, 1)), aim_(aim) {}

    std::size_t size() const noexcept {
        return std::min(fixed_ != 0 ? fixed_ : next_.load(std::memory_order_relaxed),  // [tuning]
                        most_);
    }

    void measured(std::size_t items, duration took) noexcept {
        auto const aim = aim_;
        auto const now = next_.load(std::memory_order_relaxed);  // [tuning]
        if (items < now && took < aim) return;  // older and smaller: says nothing new
        auto wanted = now;
        if (took * 4 < aim) {
            wanted = items * 4;
        } else if (took * 2 < aim) {
            wanted = items * 2;
        } else if (took > aim * 2) {
            wanted = std::max<std::size_t>(items / 2, 1);
        }
        next_.store(std::min(wanted, most_), std::memory_order_relaxed);  // [tuning]
    }

private:
    std::size_t const fixed_;
    std::size_t const most_;
    duration const aim_;
    std::atomic<std::size_t> next_{1};
};

/// Results that are copied by their bytes: kept one behind the other, so that many are taken at
/// once. (Assignable, for g++ does not always call the same closure trivially copyable.)
template <class R>
concept plain_result =
    std::is_void_v<R> || (std::is_trivially_copyable_v<R> && std::is_copy_constructible_v<R> &&
                          std::is_copy_assignable_v<R>);

/// The results of a chunk until they are read; each position is put once and taken once.
template <class R>
class result_slots {
public:
    explicit result_slots(std::size_t n) : slots_(new std::optional<outcome<R>>[n]) {}

    void put(std::size_t i, outcome<R> result) { slots_[i].emplace(std::move(result)); }
    outcome<R> take(std::size_t i) {
        outcome<R> result = std::move(*slots_[i]);
        slots_[i].reset();
        return result;
    }

private:
    std::unique_ptr<std::optional<outcome<R>>[]> slots_;
};

/// What failed stands apart, in memory that is asked for when something does. If there is none,
/// then everything from there on fails likewise.
template <plain_result R>
class result_slots<R> {
    using value_type = stored_t<R>;
    struct alignas(value_type) cell {
        std::byte bytes[sizeof(value_type)];
    };

public:
    explicit result_slots(std::size_t n)
        : size_(n), cells_(new cell[std::is_void_v<R> ? 0 : n]), lost_from_(n) {}
    result_slots(result_slots const&) = delete;
    result_slots& operator=(result_slots const&) = delete;
    ~result_slots() { delete[] failures_.load(); }

    void put(std::size_t i, outcome<R> result) noexcept {
        if (!result) {
            auto* failures = failures_.load();
            if (!failures) {
                failures_.store(failures = new (std::nothrow) std::exception_ptr[size_]);
            }
            if (failures) {
                failures[i] = result.error();
            } else if (i < lost_from_.load()) {
                lost_ = result.error();
                lost_from_.store(i);
            }
        } else if constexpr (!std::is_void_v<R>) {
            ::new (static_cast<void*>(cells_.get() + i)) R(*std::move(result));
        }
    }
    outcome<R> take(std::size_t i) {
        if (i >= lost_from_.load()) return outcome<R>(lost_);
        if (auto* const failures = failures_.load(); failures && failures[i]) {
            return outcome<R>(std::exchange(failures[i], nullptr));
        }
        if constexpr (std::is_void_v<R>) {
            return outcome<void>();
        } else {
            return outcome<R>(R(values()[i]));
        }
    }

    /// n values from their bytes.
    void put_values(std::size_t i, std::byte const* from, std::size_t n) noexcept {
        if constexpr (!std::is_void_v<R>) {
            if (n != 0) std::memcpy(static_cast<void*>(cells_.get() + i), from, n * sizeof(R));
        }
    }
    bool any_failed() const noexcept {
        return failures_.load() != nullptr || lost_from_.load() != size_;
    }
    value_type const* values() const noexcept {
        return std::launder(reinterpret_cast<value_type const*>(cells_.get()));
    }

private:
    std::size_t const size_;
    std::unique_ptr<cell[]> cells_;
    std::atomic<std::exception_ptr*> failures_{nullptr};  // each is the worker's or the reader's
    std::exception_ptr lost_;
    std::atomic<std::size_t> lost_from_;
};

// Protocol [chunk]
//
//   slots[0, ready)  results, the reader's to take
//   slots[ready, n)  the worker's
//
// Order      the worker stores ready (seq_cst) after the slot, then looks whether the reader waits;
//            the reader says that it waits, then looks at ready: one of them sees the other.
// Invariant  ready only grows. A chunk whose state is done with ready < n was cancelled, broke with
//            its executor, or was asked to stop: the rest never comes.
template <class R>
struct chunk_results {
    chunk_results(std::size_t f, std::size_t n)
        : first(f), size(n), slots(std::make_unique<result_slots<R>>(n)) {}

    bool ready_at(std::size_t i) const noexcept { return i < ready.load(); }
    bool exhausted() const noexcept { return taken == size; }
    outcome<R> take() { return slots->take(taken++); }
    /// Takes all values that are ready, unless something has failed; how many.
    std::size_t take_values(std::vector<stored_t<R>>& to) {
        if constexpr (plain_result<R>) {
            auto const until = ready.load();  // before the look at failures: none is in front of it
            if (slots->any_failed()) return 0;
            auto const values = slots->values();
            if (!std::is_void_v<R>) to.insert(to.end(), values + taken, values + until);
            return until - std::exchange(taken, until);
        } else {
            return 0;
        }
    }

    std::size_t const first;
    std::size_t const size;
    std::unique_ptr<result_slots<R>> slots;
    std::atomic<std::size_t> ready{0};
    std::size_t taken = 0;  // the reader's
};

/// Wakes whoever reads a map when an item becomes ready. It lives with the map, which outlives its
/// chunks.
class map_reader {
public:
    void item_ready() noexcept {
        if (waiting_.load() && waiting_.exchange(false)) spot.wake();
    }
    void will_wait() noexcept { waiting_.store(true); }

    wake_spot spot;

private:
    std::atomic<bool> waiting_{false};
};

/// Wakes the reader when the job of a chunk is done, however it ended.
struct chunk_waiter : waiter {
    explicit chunk_waiter(map_reader& r)
        : waiter(waiter::when::under_lock,
                 [](waiter& w) noexcept { static_cast<chunk_waiter&>(w).reader.spot.wake(); }),
          reader(r) {}
    map_reader& reader;
};

}  // namespace concur::inline v0::detail

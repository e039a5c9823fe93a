// SPDX-License-Identifier: BSL-1.0
// The chunks of a lazy map: a few inputs each, run as one job, read item by item while it runs.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
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
        : first(f), size(n), slots(std::make_unique<std::optional<outcome<R>>[]>(n)) {}

    bool ready_at(std::size_t i) const noexcept { return i < ready.load(); }
    bool exhausted() const noexcept { return taken == size; }
    outcome<R> take() {
        auto& slot = slots[taken++];
        outcome<R> result = std::move(*slot);
        slot.reset();
        return result;
    }

    std::size_t const first;
    std::size_t const size;
    std::unique_ptr<std::optional<outcome<R>>[]> slots;
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

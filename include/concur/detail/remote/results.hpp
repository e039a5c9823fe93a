// SPDX-License-Identifier: BSL-1.0
// How the results of a chunk travel: a worker writes them while it runs, and may be killed between
// any two; the process that waits reads as many as the worker has counted.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include <concur/detail/remote/exceptions.hpp>
#include <concur/detail/remote/wire.hpp>
#include <concur/detail/verbs/chunk.hpp>
#include <concur/outcome.hpp>

namespace concur::inline v0::detail {

/// In front of each record, at a multiple of 8.
struct result_header {
    std::uint32_t kind;   ///< reply_kind: value or exception
    std::uint32_t items;  ///< of a run; 0: it is the last record, and has all that are left
    std::uint64_t bytes;  ///< of what is no run
};

/// For a value behind a header of 8-byte alignment: where its own alignment can be kept.
template <class T>
inline constexpr std::size_t wire_alignment = fixed_wire_size<T> != 0 && alignof(T) <= 8 ? 8 : 64;
inline constexpr std::size_t exception_alignment = 64;

/// Results that all take the same room: a record holds any number of them, so many bytes apart.
template <class R>
inline constexpr bool in_runs = fixed_wire_size<R> != 0;
template <>
inline constexpr bool in_runs<void> = true;
template <class R>
inline constexpr std::size_t result_alignment = wire_alignment<R>;
template <>
inline constexpr std::size_t result_alignment<void> = 8;
template <class R>
inline constexpr std::size_t run_step =
    wire_of<R> == wire::bytes ? sizeof(R) : aligned_up(fixed_wire_size<R>, result_alignment<R>);
template <>
inline constexpr std::size_t run_step<void> = 0;

// Protocol [results] - in memory that both processes see; written by the worker only.
// progress    whose results these are, and how many are whole
// Order       the worker stores progress (release) after the bytes of a result; who reads it after
//             the worker's death (acquire) sees these, and nothing of what came behind them counts.
// Invariant   a run that is open says 0; its number is written when it is closed, before anything
//             behind it is counted.
class results_writer {
public:
    /// `progress`: the word, and what it is when no result is whole.
    results_writer(std::atomic<std::uint64_t>& progress, std::uint64_t none) noexcept
        : progress_(progress), none_(none) {}
    results_writer(results_writer const&) = delete;
    results_writer& operator=(results_writer const&) = delete;

    /// Room for a record of one result. Throws std::bad_alloc.
    std::byte* append(reply_kind kind, std::size_t bytes, std::size_t alignment) {
        close_run();
        auto const payload = aligned_up(used_ + sizeof(result_header), alignment);
        auto const end = aligned_up(payload + bytes, 8);
        if (end > capacity_) grow(end);
        write_header({static_cast<std::uint32_t>(kind), 1, bytes}, used_);
        used_ = end;
        return buffer_ + payload;
    }

    /// Forgets what was appended for an item that did not get to its end.
    void rewind() noexcept { used_ = kept_; }

    /// The last result is whole.
    void item_done() noexcept {
        kept_ = used_;
        ++items_done_;
        progress_.store(none_ + items_done_, std::memory_order_release);  // [results]
    }

protected:
    ~results_writer() = default;

    /// A buffer of `bytes` or more with the same contents. Throws std::bad_alloc.
    virtual void grow(std::size_t bytes) = 0;

    std::byte* buffer_ = nullptr;
    std::size_t capacity_ = 0;
    std::size_t used_ = 0;
    std::size_t kept_ = 0;  // of items that are done
    std::size_t items_done_ = 0;

private:
    template <std::size_t, std::size_t>
    friend class results_run;

    static constexpr std::size_t no_run = static_cast<std::size_t>(-1);

    /// At least one is expected, and not more come.
    std::byte* open_run(std::size_t step, std::size_t alignment, std::size_t expected) {
        auto const begin = aligned_up(used_ + sizeof(result_header), alignment);
        if (auto const end = begin + step * expected; end > capacity_) grow(end);
        write_header({static_cast<std::uint32_t>(reply_kind::value), 0, 0}, used_);
        run_at_ = used_;
        run_first_ = items_done_;
        return buffer_ + begin;
    }
    void take_run(std::byte const* end, std::size_t items) noexcept {
        if (items == run_first_) {
            run_at_ = no_run;  // nothing came
        } else {
            items_done_ = items;
            kept_ = used_ = static_cast<std::size_t>(end - buffer_);
        }
    }
    void close_run() noexcept {
        if (run_at_ == no_run) return;
        write_header({static_cast<std::uint32_t>(reply_kind::value),
                      static_cast<std::uint32_t>(items_done_ - run_first_), 0},
                     std::exchange(run_at_, no_run));
        used_ = aligned_up(used_, 8);
    }
    void write_header(result_header header, std::size_t at) noexcept {
        std::memcpy(buffer_ + at, &header, sizeof header);
    }

    std::atomic<std::uint64_t>& progress_;
    std::uint64_t const none_;
    std::size_t run_at_ = no_run;
    std::size_t run_first_ = 0;
};

/// A run while it is written; meanwhile nothing else is. Its words are apart from the writer, for
/// then they stay in registers.
template <std::size_t Step, std::size_t Alignment>
class results_run {
public:
    /// Throws std::bad_alloc.
    results_run(results_writer& writer, std::size_t expected)
        : writer_(writer),
          progress_(writer.progress_),
          none_(writer.none_),
          to_(writer.open_run(Step, Alignment, expected)),
          items_(writer.items_done_) {}
    results_run(results_run const&) = delete;
    results_run& operator=(results_run const&) = delete;
    ~results_run() { writer_.take_run(to_, items_); }

    /// Where the next result goes.
    std::byte* room() const noexcept { return to_; }
    /// It is whole.
    void item_done() noexcept {
        to_ += Step;
        ++items_;
        progress_.store(none_ + items_, std::memory_order_release);  // [results]
    }

private:
    results_writer& writer_;
    std::atomic<std::uint64_t>& progress_;
    std::uint64_t const none_;
    std::byte* to_;
    std::size_t items_;
};

/// A few results, as they stand in a reply.
struct some_results {
    std::size_t items;
    std::byte const* data;  ///< null: there should be more
    std::size_t bytes;
    bool failed;
};

/// Reads what a results_writer wrote, and trusts none of it.
template <class R>
class results_reader {
public:
    /// Values that need not be looked at one by one.
    static constexpr bool copies_values = [] {
        if constexpr (std::is_void_v<R>) {
            return true;
        } else {
            return plain_result<R> && wire_of<R> == wire::bytes && plain_size<R> != 0 &&
                   !holds_bool<R>();
        }
    }();

    explicit results_reader(reply_view const& reply) noexcept : reply_(reply) {}

    /// The next record, of which there are n results at most.
    some_results next(std::size_t n) noexcept {
        some_results const cut_short{n, nullptr, 0, true};
        result_header header;
        if (at_ > reply_.bytes || reply_.bytes - at_ < sizeof header) return cut_short;
        std::memcpy(&header, reply_.data + at_, sizeof header);
        bool const failed = static_cast<reply_kind>(header.kind) == reply_kind::exception;
        auto const payload =
            aligned_up(at_ + sizeof header, failed ? exception_alignment : result_alignment<R>);
        std::size_t items = 1;
        auto bytes = header.bytes;
        if (in_runs<R> && !failed) {
            if (header.items != 0 && header.items < n) n = header.items;
            items = n;
            bytes = n * run_step_of_result();
        }
        if (payload > reply_.bytes || bytes > reply_.bytes - payload) return cut_short;
        at_ = aligned_up(payload + static_cast<std::size_t>(bytes), 8);
        return {items, reply_.data + payload, static_cast<std::size_t>(bytes), failed};
    }

    /// One of them.
    outcome<R> outcome_at(some_results const& some, std::size_t i) const noexcept {
        try {
            if (!some.data) throw codec_error("the results of a map are cut short");
            if (some.failed) {
                return outcome<R>(decode_exception({some.data, some.bytes}, reply_.pid));
            }
            if constexpr (std::is_void_v<R>) {
                return outcome<void>();
            } else if constexpr (in_runs<R>) {
                read_pass in(some.data + i * run_step<R>, run_step<R>);
                return outcome<R>(in.template get<R>());
            } else {
                read_pass in(some.data, some.bytes);
                return outcome<R>(in.template get<R>());
            }
        } catch (...) {
            return outcome<R>(std::current_exception());
        }
    }

private:
    static constexpr std::size_t run_step_of_result() noexcept {
        if constexpr (in_runs<R>) {
            return run_step<R>;
        } else {
            return 0;
        }
    }

    reply_view const& reply_;
    std::size_t at_ = 0;
};

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// A lazy map under way, whatever its function and input are: hands out chunks while there is room
// in the window, and gives the reader one result after the other. map.hpp puts ranges on top of it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <concur/detail/verbs/chunk.hpp>
#include <concur/detail/verbs/loop.hpp>
#include <concur/executor.hpp>

namespace concur::inline v0::detail {

/// Results by position, written by several threads, in the end a vector.
template <class R>
class result_buffer {
    // Written in place where R allows it; std::vector<bool> does not, for its bits share words.
    static constexpr bool direct = std::is_default_constructible_v<R> &&
                                   std::is_move_assignable_v<R> && !std::is_same_v<R, bool>;
    using slot_type = std::conditional_t<direct, R, std::optional<R>>;

public:
    /// For positions from `first` on.
    result_buffer(std::size_t size, std::size_t first) : slots_(size), first_(first) {}

    /// Writes any position: small, to be copied.
    class writer_type {
    public:
        explicit writer_type(result_buffer& b) : slots_(b.slots_.data()), first_(b.first_) {}
        template <class Value>
        void put(std::size_t position, Value&& value) const {
            if constexpr (direct) {
                slots_[position - first_] = std::forward<Value>(value);
            } else {
                slots_[position - first_].emplace(std::forward<Value>(value));
            }
        }

    private:
        slot_type* slots_;
        std::size_t first_;
    };
    writer_type writer() { return writer_type(*this); }
    std::vector<R> finish() && {
        if constexpr (direct) {
            return std::move(slots_);
        } else {
            std::vector<R> values;
            values.reserve(slots_.size());
            for (auto& slot : slots_) values.push_back(std::move(*slot));
            return values;
        }
    }

private:
    std::vector<slot_type> slots_;
    std::size_t first_;
};

/// A few inputs on their way: owned by the reader, run by one worker.
template <class R>
struct map_chunk : chunk_results<R> {
    map_chunk(map_reader& reader, std::size_t from, std::size_t items)
        : chunk_results<R>(from, items), done(reader) {}
    virtual ~map_chunk() = default;

    bool next_ready() const noexcept { return this->ready_at(this->taken); }
    /// Of one whose state is done: whoever completed it is not about to wake the reader any more.
    void leave() noexcept { state->remove_waiter(done); }

    state_ref state;
    chunk_waiter done;
};

/// Chunks in input order: taken from the front mostly, from the middle by map_unordered.
/// (std::deque and std::list cost every user's build more.)
template <class R>
class chunk_queue {
    using owner = std::unique_ptr<map_chunk<R>>;

public:
    using iterator = typename std::vector<owner>::iterator;
    iterator begin() noexcept { return chunks_.begin() + static_cast<std::ptrdiff_t>(first_); }
    iterator end() noexcept { return chunks_.end(); }
    bool empty() const noexcept { return size() == 0; }
    std::size_t size() const noexcept { return chunks_.size() - first_; }
    map_chunk<R>& front() noexcept { return *chunks_[first_]; }

    /// May throw; afterwards one push_back() does not.
    void make_room() {
        if (first_ > size()) {  // amortised: as many were taken since the last time
            chunks_.erase(chunks_.begin(), begin());
            first_ = 0;
        }
        if (chunks_.size() == chunks_.capacity()) chunks_.reserve(2 * chunks_.size() + 8);
    }
    void push_back(owner part) noexcept { chunks_.push_back(std::move(part)); }

    template <class Iterator>
    owner take(Iterator from) noexcept {
        owner part = std::move(*from);
        if (from == begin()) {
            ++first_;
        } else {
            chunks_.erase(from);
        }
        return part;
    }
    owner take_front() noexcept { return take(begin()); }

private:
    std::vector<owner> chunks_;
    std::size_t first_ = 0;
};

/// A map under way, whatever function and source there are: all that does not depend on them.
/// One thread at a time reads. Blocks until there is something; inside a task it runs it.
template <class R>
class map_stream {
public:
    using item = std::pair<std::size_t, outcome<R>>;

    map_stream(map_stream const&) = delete;
    map_stream& operator=(map_stream const&) = delete;
    virtual ~map_stream() { core_.release(); }  // whoever derives calls stop() first

    /// The next in input order, or nothing at the end. A broken input, a deadline and an executor
    /// that is gone come as an outcome at their position, and as the last one.
    std::optional<item> next_in_order();
    /// The same in order of completion.
    std::optional<item> next_ready();
    /// Whether the next step would not block. Says so to the reader's spot when it would.
    bool ready(bool in_order);
    wake_spot& spot() noexcept { return reader_.spot; }
    time_point deadline() const noexcept { return deadline_; }
    /// No more: cancels what has not started, asks the rest to stop and waits for it.
    void stop() noexcept;
    /// Everything that is left. Throws the first failure in input order.
    std::vector<stored_t<R>> collect();

protected:
    using chunk = map_chunk<R>;

    /// in_flight  chunks under way when no window is given. chunk_aim: how long one should run.
    map_stream(executor_core& core, map_options options, std::size_t in_flight,
               duration chunk_aim = std::chrono::microseconds(200))
        : core_(core),
          options_(std::move(options)),
          deadline_(options_.deadline ? deadline_after(*options_.deadline) : time_point::max()),
          tuner_(options_.chunk_size, most_per_chunk(), chunk_aim),
          in_flight_(in_flight) {
        core_.require_open();
        core_.retain();
    }

    /// The next `n` inputs at most. Null when there are none. Calls end_input() at the end, or
    /// end_at() when the input throws.
    virtual std::unique_ptr<chunk> read_inputs(std::size_t n) = 0;
    /// The job that runs a chunk, with two references.
    virtual state& make_job(chunk& part) = 0;
    /// A chunk that was cancelled, or asked to stop: after this it may go.
    virtual void leave(chunk& part) noexcept {
        wait_for(*part.state);
        part.leave();
    }
    /// Waits for the job of a chunk that was cancelled, or asked to stop.
    virtual void wait_for(state& job) noexcept { wait_ended(job); }
    /// The input's length where any position can be read by anybody, else nothing.
    virtual std::optional<std::size_t> length() const noexcept { return std::nullopt; }
    /// How many inputs have not been issued, as far as that is known.
    virtual std::size_t known_left() const noexcept { return 0; }
    /// Runs all positions from `first` on as a loop.
    virtual void run_rest(loop_options const&, result_buffer<stored_t<R>>&) {}

    void start() {
        try {
            fill();
        } catch (...) {
            stop();
            throw;
        }
    }
    void end_input() noexcept { source_ended_ = true; }
    void end_at(std::size_t position, std::exception_ptr problem) {
        source_ended_ = true;
        end_.emplace(position, outcome<R>(std::move(problem)));
    }
    std::size_t issued() const noexcept { return issued_; }
    map_reader& reader() noexcept { return reader_; }
    chunk_tuner& tuner() noexcept { return tuner_; }
    map_options const& options() const noexcept { return options_; }
    executor_core& core() noexcept { return core_; }

private:
    using chunk_list = chunk_queue<R>;

    /// Bounds the memory of results that nobody has read yet.
    static constexpr std::size_t most_per_chunk() noexcept {
        return std::max<std::size_t>(
            1, std::min<std::size_t>(65'536, (1u << 20) / sizeof(outcome<R>)));
    }

    void fill();
    std::size_t next_size() const noexcept;
    void issue(std::size_t n);
    template <class Done>
    bool wait_until(Done&& done, state* target);
    template <class Iterator>
    item take(Iterator from);
    void take_values(std::vector<stored_t<R>>& to);
    void leave_if_exhausted(typename chunk_list::iterator from);
    item give_up(chunk const& at, std::exception_ptr problem);
    std::exception_ptr late() const;
    static std::exception_ptr lost(state& s);
    outcome<R> checked(outcome<R> result);
    std::vector<stored_t<R>> collect_by_loop(std::size_t length);

    executor_core& core_;
    map_options const options_;
    time_point const deadline_;
    chunk_tuner tuner_;
    std::size_t const in_flight_;
    map_reader reader_;
    chunk_list chunks_;   // not read to the end yet, in input order
    chunk_list leaving_;  // read, but a worker may still be about to leave
    std::size_t issued_ = 0;
    std::size_t consumed_ = 0;
    bool source_ended_ = false;
    std::optional<item> end_;  // what comes after the last chunk, when that is not simply the end
};

// ---- implementation: the reader

template <class R>
auto map_stream<R>::next_in_order() -> std::optional<item> {
    fill();
    if (chunks_.empty()) return std::exchange(end_, std::nullopt);
    chunk& front = chunks_.front();
    auto const done = [&] { return front.next_ready() || front.state->done(); };
    if (!wait_until(done, front.state.get())) return give_up(front, late());
    if (!front.next_ready()) return give_up(front, lost(*front.state));
    return take(chunks_.begin());
}

template <class R>
auto map_stream<R>::next_ready() -> std::optional<item> {
    fill();
    if (chunks_.empty()) return std::exchange(end_, std::nullopt);
    auto found = chunks_.end();
    auto const search = [&] {
        for (found = chunks_.begin(); found != chunks_.end(); ++found) {
            if ((*found)->next_ready() || (*found)->state->done()) return true;
        }
        return false;
    };
    if (!wait_until(search, nullptr)) return give_up(chunks_.front(), late());
    if (!(*found)->next_ready()) return give_up(**found, lost(*(*found)->state));
    return take(found);
}

template <class R>
bool map_stream<R>::ready(bool in_order) {
    fill();
    reader_.will_wait();
    if (chunks_.empty()) return true;
    for (auto const& c : chunks_) {
        if (c->next_ready() || c->state->done()) return true;
        if (in_order) return false;
    }
    return false;
}

template <class R>
void map_stream<R>::stop() noexcept {
    source_ended_ = true;
    end_.reset();
    for (auto& c : chunks_) {
        if (!cancel_task(*c->state)) ask_to_stop(*c->state);
    }
    while (!chunks_.empty()) leave(*chunks_.take_front());
    while (!leaving_.empty()) leave(*leaving_.take_front());
}

template <class R>
std::vector<stored_t<R>> map_stream<R>::collect() {
    auto const all = length();
    if (all && options_.window == 0 && !source_ended_) return collect_by_loop(*all);
    std::vector<stored_t<R>> values;
    if constexpr (!std::is_void_v<R>) {
        // Not more, for an item may fail long before the end of an absurdly long range.
        constexpr auto most = (std::size_t{64} << 20) / sizeof(stored_t<R>);
        values.reserve(std::min(issued_ - consumed_ + known_left(), most));
    }
    while (auto next = next_in_order()) {
        auto result = checked(std::move(next->second));
        if constexpr (!std::is_void_v<R>) values.push_back(*std::move(result));
        take_values(values);
    }
    return values;
}

template <class R>
std::vector<stored_t<R>> map_stream<R>::collect_by_loop(std::size_t length) {
    loop_options loop{.name = options_.name.empty() ? nullptr : &options_.name,
                      .chunk_size = options_.chunk_size,
                      .timeout = options_.timeout,
                      .deadline = deadline_,
                      .priority = options_.priority,
                      .seed = options_.seed.value_or(0),
                      .first = std::exchange(issued_, length)};
    source_ended_ = true;
    result_buffer<stored_t<R>> values(std::is_void_v<R> ? 0 : length - consumed_, consumed_);
    std::exception_ptr later;  // what comes before it in the input counts first
    try {
        run_rest(loop, values);
    } catch (...) {
        later = std::current_exception();
    }
    while (auto next = next_in_order()) {
        auto result = checked(std::move(next->second));
        if constexpr (!std::is_void_v<R>) values.writer().put(next->first, *std::move(result));
    }
    if (later) std::rethrow_exception(later);
    return std::move(values).finish();
}

template <class R>
outcome<R> map_stream<R>::checked(outcome<R> result) {
    if (!result) {
        stop();
        result.value();
    }
    return result;
}

template <class R>
void map_stream<R>::fill() {
    while (!leaving_.empty() && leaving_.front().state->done()) leave(*leaving_.take_front());
    while (!source_ended_) {
        auto const n = next_size();
        if (n == 0) return;
        try {
            issue(n);
        } catch (...) {
            if (issued_ == 0) throw;
            end_at(issued_, std::current_exception());
        }
    }
}

template <class R>
std::size_t map_stream<R>::next_size() const noexcept {
    auto n = tuner_.size();
    if (options_.window == 0) return chunks_.size() < in_flight_ ? n : 0;
    auto const shared = options_.window / (2 * std::max<std::size_t>(core_.workers(), 1));
    if (options_.chunk_size == 0) n = std::min(n, std::max<std::size_t>(shared, 1));
    return std::min(n, options_.window - (issued_ - consumed_));
}

template <class R>
void map_stream<R>::issue(std::size_t n) {
    auto part = read_inputs(n);
    if (!part) return;
    core_.admit_internal(true);
    try {
        part->state = state_ref(&make_job(*part));
        chunks_.make_room();
    } catch (...) {
        core_.leave_queue();
        core_.retire_unrun();
        throw;
    }
    state& s = *part->state;
    auto& extras = *s.ops->extras(s);
    extras.priority = options_.priority;
    extras.name = options_.name;
    extras.seed = options_.seed.value_or(0);
    extras.retries = options_.retries;
    if (s.ops->attend) extras.timeout = options_.timeout;
    static_cast<void>(s.add_waiter(part->done));
    issued_ += part->size;
    core_.count_items(part->size);
    chunks_.push_back(std::move(part));
    core_.enqueue(s);
}

template <class R>
template <class Done>
bool map_stream<R>::wait_until(Done&& done, state* target) {
    auto const look = [&] {
        if (done()) return true;
        reader_.will_wait();
        return done();
    };
    auto const help = [&] {
        for (auto const& c : chunks_) {
            if (help_with(*c->state)) return true;
        }
        return false;
    };
    if (done()) return true;
    if (target && target->ops->attend && !this_worker_context) {
        wait_done(*target, deadline_);  // in another process: items come as a whole chunk
        return done();
    }
    return block_until(look, help, target, reader_.spot.sleeper, deadline_);
}

template <class R>
template <class Iterator>
auto map_stream<R>::take(Iterator from) -> item {
    auto& part = **from;
    auto const position = part.first + part.taken;
    item taken(position, part.take());
    ++consumed_;
    leave_if_exhausted(from);
    return taken;
}

/// What else the first chunk has by now, at once.
template <class R>
void map_stream<R>::take_values(std::vector<stored_t<R>>& to) {
    if (chunks_.empty()) return;
    consumed_ += chunks_.front().take_values(to);
    leave_if_exhausted(chunks_.begin());
}

template <class R>
void map_stream<R>::leave_if_exhausted(typename chunk_list::iterator from) {
    if (!(*from)->exhausted()) return;
    leaving_.make_room();
    leaving_.push_back(chunks_.take(from));
}

template <class R>
auto map_stream<R>::give_up(chunk const& at, std::exception_ptr problem) -> item {
    auto const position = at.first + at.taken;
    stop();
    return item(position, outcome<R>(std::move(problem)));
}

template <class R>
std::exception_ptr map_stream<R>::late() const {
    return std::make_exception_ptr(
        timeout_error(text("map: the deadline passed after %zu results were read", consumed_)));
}

template <class R>
std::exception_ptr map_stream<R>::lost(state& s) {
    if (phase_of(s.look()) == phase_error) return error_of(s);
    return std::make_exception_ptr(task_cancelled());
}

}  // namespace concur::inline v0::detail

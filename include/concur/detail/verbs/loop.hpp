// SPDX-License-Identifier: BSL-1.0
// A loop over positions, by all workers at once and the caller too: the machine behind for_each,
// collect and reduce. Everybody takes the next few positions until there are none, so that cheap
// items and dear ones both keep all busy (guided self-scheduling: C. Polychronopoulos and D. Kuck,
// "Guided Self-Scheduling", 1987, with chunks sized by measured time).
#pragma once

#include <atomic>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <concur/detail/task/blocking.hpp>
#include <concur/detail/verbs/item.hpp>
#include <concur/executor.hpp>

namespace concur::inline v0::detail {

struct loop_options {
    std::string const* name = nullptr;
    std::size_t chunk_size = 0;
    std::optional<duration> timeout;
    time_point deadline = time_point::max();
    int priority = 0;
    std::uint64_t seed = 0;
    std::size_t first = 0;  // positions from here on
    // Where a position of the loop stands for several items: so many each, and so many in all.
    std::size_t block = 1;
    std::size_t items = static_cast<std::size_t>(-1);
};

// Protocol [loop]
//
//   next      the first position that nobody has taken; taken by adding to it
//   failure   the lowest position that threw, with its exception, under the mutex; `failed_at`
//             mirrors the position, so that nobody starts behind it
//
// Invariant  positions are taken in ascending order, so everything before a failure has been taken
//            and is finished before run() returns: the first failure in input order wins.
// Lifetime   the loop stands on the caller's stack: run() returns after every participant has left,
//            and those who never came are cancelled.
class parallel_loop {
public:
    /// Runs positions from `at` up to `last`; when one throws, `at` says which.
    using runner = void (*)(void* items, task_context& context, std::size_t& at, std::size_t last,
                            std::optional<duration> const& timeout);

    parallel_loop(executor_core& core, std::size_t size, loop_options options, runner run_items,
                  void* items)
        : core_(core),
          size_(size),
          options_(options),
          run_items_(run_items),
          items_(items),
          stop_(make_stop_point()) {
        next_.store(options.first);
    }

    /// Blocks until all is done. Throws the first failure in input order, or timeout_error.
    void run() {
        caller_place caller(core_);  // throws when the executor takes no more
        auto const all = items_before(size_) - items_before(options_.first);
        if (all == 0) return;
        core_.count_items(all);
        {
            deadline_watch watch(*this);
            scoped_timer const timer(options_.deadline, &watch);
            invite_helpers(caller.held() ? 1 : 0);
            if (caller.held()) take_part();
            caller.give_back();  // somebody may need the place while this thread only waits
            wait_for_helpers();
        }
        auto const unfinished = all - ran_.load();
        if (unfinished != 0) core_.count_unrun_items(unfinished);
        if (failure_) std::rethrow_exception(failure_);
        if (unfinished == 0 && !late_.load()) return;
        if (!late_.load()) rethrow_end();
        throw timeout_error(text("%zu (of %zu) items unfinished at the deadline", unfinished, all));
    }

private:
    struct helper_call {
        static constexpr std::size_t tasks = 0;
        void operator()() && { loop->take_part(); }
        parallel_loop* loop;
    };
    using helper_job = job<helper_call, void, true>;

    struct deadline_watch final : timer_target {
        explicit deadline_watch(parallel_loop& l) : loop(l) {}
        timer_follow_up expired() noexcept override {
            loop.late_.store(true);
            return ask_later(*loop.stop_);
        }
        parallel_loop& loop;
    };

    void invite_helpers(std::size_t others) {
        auto const most = std::min(core_.workers(), size_ - options_.first);
        for (auto i = others; i < most; ++i) {
            try {
                invite_helper();
            } catch (...) {
                // Shut down meanwhile, or no memory: who is there does it all.
                if (i == 0) throw;
                return;
            }
        }
    }

    void invite_helper() {
        helpers_.reserve(helpers_.size() + 1);
        core_.admit_internal(false);
        try {
            state& s = helper_job::make(&core_, 0, 2, [this] { return helper_call{this}; });
            s.ops->extras(s)->priority = options_.priority;
            helpers_.emplace_back(&s);
        } catch (...) {
            core_.leave_queue();
            core_.retire_unrun();
            throw;
        }
        core_.enqueue(*helpers_.back());
    }

    void wait_for_helpers() {
        for (auto& helper : helpers_) {
            bool const nothing_left = next_.load() >= size_ || next_.load() > failed_at_.load();
            if ((nothing_left || late_.load()) && cancel_task(*helper)) continue;
            wait_ended(*helper);
        }
    }

    /// Nobody was there to do it: the executor cancelled the helpers, or broke.
    [[noreturn]] void rethrow_end() {
        for (auto& helper : helpers_) {
            if (phase_of(helper->look()) == phase_error) std::rethrow_exception(error_of(*helper));
        }
        throw task_cancelled();
    }

    void take_part() {
        task_scope scope(*stop_, options_.seed, options_.name);
        auto& counts = *this_worker_context->counts;
        std::size_t chunk = options_.chunk_size != 0 ? options_.chunk_size : 1;
        auto const share = 2 * std::max<std::size_t>(core_.workers(), 1);
        auto before = steady_clock::now();
        while (!late_.load()) {
            auto const seen = next_.load();
            if (seen >= size_) return;
            auto const fair = std::max<std::size_t>((size_ - seen) / share, 1);
            auto const most = options_.chunk_size != 0 ? chunk : std::min(chunk, fair);
            auto const first = next_.fetch_add(most);
            if (first >= size_ || first > failed_at_.load()) return;
            auto const last = std::min(first + most, size_);
            auto const items = items_before(last) - items_before(first);
            tally::add(counts.started, items);
            auto const ended = run_chunk(scope.context(), first, last);
            auto const completed = items_before(ended) - items_before(first);
            tally::add(counts.completed, completed);
            if (ended < last) {
                tally::add(counts.failed, 1);
                tally::add(counts.cancelled, items - completed - 1);
            }
            ran_.fetch_add(items);
            auto const now = steady_clock::now();
            if (options_.chunk_size == 0) chunk = next_chunk(most, chunk, now - before);
            before = now;
        }
    }

    /// Runs positions until one throws, and says which; `last` when none did.
    std::size_t run_chunk(task_context& context, std::size_t first, std::size_t last) {
        auto i = first;
        try {
            run_items_(items_, context, i, last, options_.timeout);
            return last;
        } catch (...) {
            keep_failure(i, std::current_exception());
            stop_registry::ask(*stop_);
        }
        return i;
    }

    /// The first one in input order counts; but an item that gave up because a later one had failed
    /// is no failure of its own.
    void keep_failure(std::size_t position, std::exception_ptr problem) {
        std::lock_guard const lock(mutex_);
        if (position >= failed_at_.load()) return;
        if (failure_) {
            try {
                std::rethrow_exception(problem);
            } catch (task_cancelled const&) {
                return;
            } catch (...) {
            }
        }
        failed_at_.store(position);
        failure_ = std::move(problem);
    }

    std::size_t items_before(std::size_t position) const noexcept {
        return std::min(position * options_.block, options_.items);
    }

    /// About 50 us each: long against the 0.1 us that taking a chunk costs, short against the
    /// whole.
    static std::size_t next_chunk(std::size_t done, std::size_t chunk, duration took) noexcept {
        constexpr auto aim = std::chrono::microseconds(50);
        if (done < chunk) return chunk;  // near the end: chunks shrink by themselves
        if (took * 4 < aim) return chunk * 4;
        if (took * 2 < aim) return chunk * 2;
        if (took > aim * 2) return std::max<std::size_t>(chunk / 2, 1);
        return chunk;
    }

    executor_core& core_;
    std::size_t const size_;
    loop_options const options_;
    runner const run_items_;
    void* const items_;
    state_ref const stop_;
    std::vector<state_ref> helpers_;
    alignas(cache_line) std::atomic<std::size_t> next_{0};
    alignas(cache_line) std::atomic<std::size_t> failed_at_{static_cast<std::size_t>(-1)};
    std::atomic<bool> late_{false};
    std::atomic<std::size_t> ran_{0};
    std::mutex mutex_;
    std::exception_ptr failure_;
};

/// Calls item(position) once for each position from options.first up to `size`, on all workers.
/// `item` is small: it is copied for each chunk.
template <class Item>
void run_loop(executor_core& core, std::size_t size, loop_options const& options, Item item) {
    constexpr auto run_items = [](void* items, task_context& context, std::size_t& at,
                                  std::size_t last, std::optional<duration> const& timeout) {
        // Locals, which what the items write cannot alias.
        Item const call(*static_cast<Item const*>(items));
        auto i = at;
        try {
            if (timeout) {
                for (; i != last; ++i) {
                    context.position = item_position{i};
                    item_limit::call(*timeout, [&] { call(i); });
                }
            } else if constexpr (requires { call.walk(context, i, last); }) {
                call.walk(context, i, last);
            } else {
                for (; i != last; ++i) {
                    context.position = item_position{i};
                    call(i);
                }
            }
        } catch (...) {
            at = i;
            throw;
        }
    };
    parallel_loop(core, size, options, run_items, &item).run();
}

}  // namespace concur::inline v0::detail

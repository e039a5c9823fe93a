// SPDX-License-Identifier: BSL-1.0
// A task as a block of memory: the state in front, behind it first the callable and then, in the
// same place, the result. One allocation for everything; small tasks fit a cache line.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <concur/detail/base/chaos.hpp>
#include <concur/detail/base/text.hpp>
#include <concur/detail/sync/node_cache.hpp>
#include <concur/detail/sync/timer.hpp>
#include <concur/detail/task/executor_core.hpp>
#include <concur/detail/task/inputs.hpp>
#include <concur/detail/task/state.hpp>
#include <concur/detail/task/stop.hpp>
#include <concur/detail/task/storage.hpp>

namespace concur::inline v0::detail {

constexpr std::size_t larger(std::size_t a, std::size_t b) noexcept { return a > b ? a : b; }

/// How a job ends when nobody holds a future of it.
enum class result_use : std::uint8_t { kept, reported };

/// What a call wants to keep in its block until the block goes, behind everything else.
template <class Call>
concept has_tail = requires { typename Call::tail; };

template <class Call>
struct tail_of {
    static constexpr std::size_t size = 0;
};
template <has_tail Call>
struct tail_of<Call> {
    static constexpr std::size_t size = sizeof(typename Call::tail);
};

/// The blocks that hold a `Call` and its result R. A call with a tail travels: it is not run here.
template <class Call, class R, bool Extras, result_use Use = result_use::kept>
class job {
public:
    /// A pending state with the given flags and references, around the callable that `maker()`
    /// gives: it is made in place.
    template <class Maker>
    static state& make(executor_core* core, std::uint64_t flags, std::uint64_t references,
                       Maker&& maker) {
        void* const memory = allocate_node<bytes, alignment>();
        try {
            ::new (place(memory, call_at)) Call(maker());
        } catch (...) {
            deallocate_node<bytes, alignment>(memory);
            throw;
        }
        auto* const s = ::new (memory) state(operations, core, flags + references * one_reference);
        if constexpr (Extras) ::new (place(memory, extras_at)) task_extras{};
        if constexpr (has_tail<Call>) ::new (place(memory, tail_at)) typename Call::tail;
        return *s;
    }

    static Call& call_of(state& s) noexcept {
        return *std::launder(reinterpret_cast<Call*>(place(&s, call_at)));
    }

    /// run() without letting go of the inputs.
    static void run_claimed(state& s) {
        if constexpr (Extras) {
            run_with_options(s);
        } else {
            std::uint64_t phase;
            {
                task_scope scope(s);
                phase = call_and_store(s);
            }
            finish(s, phase);
        }
    }

    static constexpr std::size_t call_at = offset_for(alignof(Call));
    static constexpr std::size_t value_at = offset_for(alignof(stored_t<R>));
    static constexpr std::size_t content_end =
        larger(larger(call_at + sizeof(Call), value_at + sizeof(stored_t<R>)),
               offset_for(alignof(std::exception_ptr)) + sizeof(std::exception_ptr));
    static constexpr std::size_t extras_at =
        (content_end + alignof(task_extras) - 1) / alignof(task_extras) * alignof(task_extras);
    static constexpr std::size_t all_but_tail =
        Extras ? extras_at + sizeof(task_extras) : content_end;
    static constexpr std::size_t tail_at = (all_but_tail + 7) / 8 * 8;
    static constexpr std::size_t bytes =
        has_tail<Call> ? tail_at + tail_of<Call>::size : all_but_tail;
    static constexpr std::size_t alignment =
        larger(cache_line, larger(alignof(Call), alignof(stored_t<R>)));

    static auto& tail(state& s) noexcept
        requires has_tail<Call>
    {
        return *std::launder(reinterpret_cast<typename Call::tail*>(place(&s, tail_at)));
    }

    static void drop(state& s) {
        try {
            std::destroy_at(&call_of(s));
        } catch (...) {
            report_current(s.owner);
        }
    }

private:
    static std::byte* place(void* memory, std::size_t offset) noexcept {
        return static_cast<std::byte*>(memory) + offset;
    }

    static task_extras* extras_of(state& s) noexcept {
        return std::launder(reinterpret_cast<task_extras*>(place(&s, extras_at)));
    }

    static input_list* inputs_of(state& s) noexcept { return extras_of(s)->inputs.get(); }

    static void run(state& s) {
        if constexpr (Extras) {
            if (auto* const inputs = inputs_of(s)) inputs->forget();
        }
        run_claimed(s);
    }

    struct expiry final : timer_target {
        explicit expiry(state& task) : task_(task) {}
        timer_follow_up expired() noexcept override {
            auto& extras = *extras_of(task_);
            extras.error_aside = std::make_exception_ptr(timeout_error(text(
                "the task%s%s%s ran into its time limit of %g s", extras.name.empty() ? "" : " '",
                extras.name.c_str(), extras.name.empty() ? "" : "'", in_seconds(*extras.timeout))));
            if (!task_.expire()) return {};
            task_.retain();
            return {[](void* task) noexcept { tell_of_limit(*static_cast<state*>(task)); }, &task_};
        }
        static void tell_of_limit(state& task) noexcept {
            task.tell();
            if (Use == result_use::reported) error_sink::report(task.owner, error_of(task));
            if (task.look() & stop_watched) stop_registry::ask_sources(task);
            task.release();
        }
        state& task_;
    };

    static void run_with_options(state& s) {
        auto& extras = *extras_of(s);
        std::uint64_t phase;
        {
            task_scope scope(s, extras.seed, extras.name.empty() ? nullptr : &extras.name);
            if (!extras.timeout) {
                phase = call_and_store(s);
            } else {
                expiry limit(s);
                phase = call_and_store(s, &limit);
            }
        }
        if (phase != phase_pending) return finish(s, phase);
        count(s, phase_error);
        s.release();  // the time-out has published
    }

    /// Calls, frees the callable, stores the result; the phase to publish, or phase_pending when a
    /// time-out was faster and has published already.
    static std::uint64_t call_and_store(state& s, expiry* limit = nullptr) {
        Call& call = call_of(s);
        bool call_lives = true;
        auto const end_call = [&] {
            call_lives = false;
            drop(s);
            return !limit || s.seal();
        };
        try {
            if constexpr (std::is_void_v<R>) {
                invoke(call, s, limit);
                return end_call() ? phase_value : phase_pending;
            } else {
                R value = invoke(call, s, limit);
                if (!end_call()) return phase_pending;
                ::new (static_cast<void*>(behind<R>(s))) R(std::move(value));
                return phase_value;
            }
        } catch (...) {
            auto problem = std::current_exception();
            if (call_lives && !end_call()) return phase_pending;
            if constexpr (Use == result_use::reported) error_sink::report(s.owner, problem);
            ::new (static_cast<void*>(behind<std::exception_ptr>(s)))
                std::exception_ptr(std::move(problem));
            return phase_error;
        }
    }

    static R invoke(Call& call, state& s, expiry* limit) {
        if constexpr (Extras) {
            scoped_timer const timer(
                limit ? deadline_after(*extras_of(s)->timeout) : time_point::max(), limit);
            return static_cast<R>(std::move(call)());
        } else {
            return static_cast<R>(std::move(call)());
        }
    }

    static void count(state& s, std::uint64_t phase) noexcept {
        if (s.ops->tasks == 0) return;
        auto& counts = *this_worker_context->counts;
        tally::add(phase == phase_value ? counts.completed : counts.failed, s.ops->tasks);
    }

    static void finish(state& s, std::uint64_t phase) noexcept {
        count(s, phase);
        s.publish(phase);
    }

    static void destroy(state& s) noexcept {
        auto const word = s.look();
        try {
            if (phase_of(word) == phase_value) {
                std::destroy_at(&result_of<R>(s));
            } else if (phase_of(word) == phase_error && !(word & error_aside)) {
                std::destroy_at(&error_in_storage(s));
            }
        } catch (...) {
            report_current(s.owner);
        }
        if constexpr (Extras) std::destroy_at(extras_of(s));
        s.~state();
        deallocate_node<bytes, alignment>(&s);
    }

    static constexpr state_ops make_operations() noexcept {
        state_ops table{
            nullptr, &drop, &destroy, nullptr, nullptr, Call::tasks, Use == result_use::reported};
        if constexpr (has_tail<Call>) {
            Call::template describe<job>(table);
        } else {
            table.run = &run;
        }
        if constexpr (Extras) {
            table.inputs = &inputs_of;
            table.extras = &extras_of;
        }
        return table;
    }

public:
    static constexpr state_ops operations = make_operations();
};

}  // namespace concur::inline v0::detail

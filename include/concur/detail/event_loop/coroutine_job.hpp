// SPDX-License-Identifier: BSL-1.0
// A submitted coroutine function as a block of memory: the state in front, behind it the function
// and its arguments, which live as long as the coroutine does, then the strand. When the coroutine
// has ended, the result takes the place of the function.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include <concur/detail/event_loop/task.hpp>
#include <concur/detail/task/job.hpp>

namespace concur::inline v0::detail {

/// The time limit of a coroutine: at the limit its future holds timeout_error, and it is cancelled.
struct coroutine_limit : deadline_node {
    explicit coroutine_limit(strand& s, void (*e)(deadline_node&) noexcept) noexcept
        : deadline_node(e), limited(s) {}
    strand& limited;
};

/// Like job, for a Call from which coroutine_of() makes a task<Value>; R is Value or void.
template <class Call, class Value, class R, bool Extras, result_use Use = result_use::kept>
class coroutine_job {
public:
    template <class Maker>
    static state& make(executor_core* core, std::uint64_t flags, std::uint64_t references,
                       Maker&& maker) {
        void* const memory = allocate();
        try {
            ::new (place(memory, call_at)) Call(maker());
        } catch (...) {
            deallocate(memory);
            throw;
        }
        auto* const s = ::new (memory) state(operations, core, flags + references * one_reference);
        if constexpr (Extras) ::new (place(memory, extras_at)) task_extras{};
        return *s;
    }

private:
    static constexpr std::size_t round_up(std::size_t offset, std::size_t to) noexcept {
        return (offset + to - 1) / to * to;
    }
    static constexpr std::size_t call_at = offset_for(alignof(Call));
    static constexpr std::size_t content_end = larger(
        larger(call_at + sizeof(Call), offset_for(alignof(stored_t<R>)) + sizeof(stored_t<R>)),
        offset_for(alignof(std::exception_ptr)) + sizeof(std::exception_ptr));
    static constexpr std::size_t root_at = round_up(content_end, alignof(root_strand));
    static constexpr std::size_t root_end = root_at + sizeof(root_strand);
    static constexpr std::size_t limit_at = round_up(root_end, alignof(coroutine_limit));
    static constexpr std::size_t extras_at =
        round_up(limit_at + sizeof(coroutine_limit), alignof(task_extras));
    static constexpr std::size_t bytes = Extras ? extras_at + sizeof(task_extras) : root_end;
    static constexpr std::size_t alignment =
        larger(alignof(state), larger(alignof(Call), alignof(stored_t<R>)));
    static constexpr bool wide = alignment > frame_alignment;

    static void* allocate() {
        if constexpr (wide) return ::operator new(bytes, std::align_val_t{alignment});
        return allocate_frame(bytes);
    }
    static void deallocate(void* memory) noexcept {
        if constexpr (wide) return ::operator delete(memory, std::align_val_t{alignment});
        deallocate_frame(memory, bytes);
    }
    static std::byte* place(void* memory, std::size_t offset) noexcept {
        return static_cast<std::byte*>(memory) + offset;
    }
    template <class T>
    static T& at(state& s, std::size_t offset) noexcept {
        return *std::launder(reinterpret_cast<T*>(place(&s, offset)));
    }
    static task_extras* extras_of(state& s) noexcept { return &at<task_extras>(s, extras_at); }
    static input_list* inputs_of(state& s) noexcept { return extras_of(s)->inputs.get(); }

    static void run(state& s) {
        auto& loop = static_cast<loop_core&>(*s.owner);
        if constexpr (Extras) {
            if (auto* const inputs = inputs_of(s)) inputs->forget();
        }
        auto& root = *::new (place(&s, root_at)) root_strand(kind, loop, s);
        try {
            task_context context = root.context();
            scoped_context const scope(this_task_context, context);
            task<Value> coroutine = coroutine_of(at<Call>(s, call_at));
            root.hooks = context.hooks;
            auto& frame = task_access::frame_of(coroutine);
            if (!frame) throw std::future_error(std::future_errc::no_state);
            root.first = &frame.give_up().promise();
        } catch (...) {
            return end(s, phase_error, std::current_exception());
        }
        root.first->on = &root;
        loop.enter(root);
        if constexpr (Extras) set_limit(s);
        root.start();
    }

    static void set_limit(state& s) {
        auto const& timeout = extras_of(s)->timeout;
        if (!timeout) return;
        auto& root = at<root_strand>(s, root_at);
        auto& limit = *::new (place(&s, limit_at)) coroutine_limit(root, &expired);
        root.core->add_deadline(deadline_after(*timeout), limit);
    }

    static void expired(deadline_node& node) noexcept {
        auto& root = static_cast<root_strand&>(static_cast<coroutine_limit&>(node).limited);
        state& s = *root.task;
        auto& extras = *extras_of(s);
        extras.error_aside = std::make_exception_ptr(timeout_error(text(
            "the task%s%s%s ran into its time limit of %g s", extras.name.empty() ? "" : " '",
            extras.name.c_str(), extras.name.empty() ? "" : "'", in_seconds(*extras.timeout))));
        if (!s.expire()) return;
        if constexpr (Use == result_use::reported) error_sink::report(s.owner, error_of(s));
        s.tell();
        if (s.look() & stop_watched) stop_registry::ask_sources(s);
        root.cancel();
    }

    /// The first coroutine has ended.
    static void finished(strand& done) noexcept {
        auto& root = static_cast<root_strand&>(done);
        state& s = *root.task;
        root.core->leave(root);
        frame_owner<Value> frame(std::coroutine_handle<task_promise<Value>>::from_address(
            root.first->handle().address()));
        std::exception_ptr problem = std::move(frame.promise().error);
        if (problem) {
            frame.reset();
            bool const cancelled = root.cancel_asked && is_task_cancelled(problem);
            return end(s, cancelled ? phase_cancelled : phase_error, std::move(problem));
        }
        try {
            if constexpr (std::is_void_v<R>) {
                frame.reset();
                end(s, phase_value, nullptr);
            } else {
                R value(frame.promise().take());
                frame.reset();
                end(s, phase_value, nullptr, &value);
            }
        } catch (...) {
            frame.reset();
            end(s, phase_error, std::current_exception());
        }
    }

    /// Frees the function, stores what has come of it, and tells everybody. `value`: where a value
    /// stands that is no void.
    static void end(state& s, std::uint64_t phase, std::exception_ptr problem,
                    stored_t<R>* value = nullptr) {
        auto& loop = static_cast<loop_core&>(*s.owner);
        auto& root = at<root_strand>(s, root_at);
        if (root.hooks) {
            task_context context = root.context();
            forget_source(context);
            root.hooks = nullptr;
        }
        bool expired_before = false;
        if constexpr (Extras) {
            if (extras_of(s)->timeout && root.first) {
                auto& limit = at<coroutine_limit>(s, limit_at);
                if (limit.armed()) loop.remove_deadline(limit);
                expired_before = !s.seal();
            }
        }
        drop(s);
        if (expired_before) {
            tally::add(loop.counts().failed, s.ops->tasks);
            s.release();
            return loop.retire();
        }
        if (phase == phase_value) {
            if constexpr (!std::is_void_v<R>) {
                try {
                    ::new (static_cast<void*>(behind<R>(s))) R(std::move(*value));
                } catch (...) {
                    phase = phase_error;
                    problem = std::current_exception();
                }
            }
        }
        if (phase == phase_error) {
            if constexpr (Use == result_use::reported) error_sink::report(s.owner, problem);
            ::new (static_cast<void*>(behind<std::exception_ptr>(s)))
                std::exception_ptr(std::move(problem));
        }
        auto& counts = loop.counts();
        tally::add(phase == phase_value   ? counts.completed
                   : phase == phase_error ? counts.failed
                                          : counts.cancelled,
                   s.ops->tasks);
        s.publish(phase);
        loop.retire();
    }

    static void asked(state& s) noexcept {
        // Nothing of the loop may be looked at before it is certain that it is still there.
        if (this_loop == s.owner) return at<root_strand>(s, root_at).cancel();
        s.lock();
        if (!s.done()) static_cast<loop_core&>(*s.owner).enqueue_again(s);
        s.unlock();
    }

    static void drop(state& s) {
        try {
            std::destroy_at(&at<Call>(s, call_at));
        } catch (...) {
            report_current(s.owner);
        }
    }

    static void destroy(state& s) noexcept {
        auto const word = s.look();
        try {
            if (phase_of(word) == phase_value) {
                std::destroy_at(&result_of<R>(s));
            } else if (phase_of(word) == phase_error && !(word & error_aside)) {
                auto& problem = error_in_storage(s);
                if (Use == result_use::kept && !(word & error_seen)) {
                    error_sink::report(s.owner, problem);
                }
                std::destroy_at(&problem);
            }
        } catch (...) {
            report_current(s.owner);
        }
        if constexpr (Extras) std::destroy_at(extras_of(s));
        s.~state();
        deallocate(&s);
    }

    static constexpr strand::operations kind{{nullptr, nullptr, nullptr}, &finished, "task"};

    static constexpr state_ops make_operations() noexcept {
        state_ops table{
            &run,  &drop, &destroy, nullptr, nullptr, Call::tasks, Use == result_use::reported,
            &asked};
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

// SPDX-License-Identifier: BSL-1.0
// A state that waits for other states: a task with futures as arguments, or when_all. It holds no
// worker and no thread meanwhile; whoever completes the last input moves it on.
#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <concur/detail/task/executor_core.hpp>
#include <concur/detail/task/state.hpp>
#include <concur/detail/task/stop.hpp>
#include <concur/detail/task/storage.hpp>

namespace concur::inline v0::detail {

// Protocol [inputs]
//
//   remaining   inputs that are not done, plus one while start() links; whoever takes it to zero
//               settles the dependent state
//   inputs      read by waiting workers that look for work, under the lock of the dependent state;
//               emptied under it before the callable runs or goes
//
// Invariant   the dependent state lives until it is settled, for the list holds the reference of
//             its way to the worker; so the waiter nodes below never dangle.
// Order       remaining counts down with acq_rel: the one who settles sees every input done.
class input_list {
public:
    /// `first_done`: called once, with the position of the input that is done first; then the last
    /// input settles nothing any more (when_any).
    using first_done_call = void (*)(state& dependent, std::size_t position);

    input_list(state& dependent, std::vector<state_ref> inputs,
               first_done_call first_done = nullptr)
        : link{nullptr, nullptr, &dependent},
          inputs_(std::move(inputs)),
          waiters_(new input_waiter[inputs_.size()]),
          remaining_(inputs_.size() + 1),
          first_done_(first_done) {}

    /// Called once the dependent state knows this list; may settle it before it returns.
    void start() {
        if (auto* const owner = link.task->owner) {
            owner->retain();
            owner->add_dependent(link);
        }
        for (std::size_t i = 0; i < count(); ++i) {
            waiters_[i].list = this;
            if (!inputs_[i]->add_waiter(waiters_[i])) input_done(i);
        }
        arrive();
    }

    /// The next input at `position` or behind it that is not done; moves position past it. Null at
    /// the end. Only while a reference to the dependent state is held.
    state_ref next_open(std::size_t& position) {
        state& dependent = *link.task;
        state_ref input;
        dependent.lock();
        // Inputs in front that are done stay done: a million of them are looked at once.
        while (first_open_ < inputs_.size() && inputs_[first_open_]->done()) ++first_open_;
        position = std::max(position, first_open_);
        while (position < inputs_.size() && inputs_[position]->done()) ++position;
        if (position < inputs_.size()) input = state_ref::share(*inputs_[position++]);
        dependent.unlock();
        return input;
    }

    /// The inputs are not needed any more. Releases them outside of the lock.
    void forget() noexcept {
        std::vector<state_ref> gone;
        link.task->lock();
        gone.swap(inputs_);
        link.task->unlock();
    }

    dependent_link link;

private:
    struct input_waiter : waiter {
        input_waiter() : waiter(waiter::when::after_lock, &input_waiter::input_done) {}
        static void input_done(waiter& w) noexcept {
            auto& self = static_cast<input_waiter&>(w);
            self.list->input_done(static_cast<std::size_t>(&self - self.list->waiters_.get()));
        }
        input_list* list = nullptr;
    };

    void input_done(std::size_t position) noexcept {
        if (first_done_ && !any_done_.exchange(true)) first_done_(*link.task, position);
        arrive();
    }

    std::size_t count() const noexcept { return inputs_.size(); }

    void arrive() noexcept {
        chaos_point();
        if (remaining_.fetch_sub(1, std::memory_order_acq_rel) == 1) settle();  // [inputs]
    }

    void settle() noexcept;
    void fail(state& dependent, state& input) noexcept;

    std::vector<state_ref> inputs_;
    std::unique_ptr<input_waiter[]> waiters_;
    std::atomic<std::size_t> remaining_;
    first_done_call first_done_;
    std::atomic<bool> any_done_{false};
    std::size_t first_open_ = 0;  // under the lock of the dependent state
};

/// What only tasks with options or inputs have, behind the rest of their block.
struct task_extras {
    std::string name;
    std::optional<duration> timeout;
    std::optional<std::uint64_t> seed;
    int priority = 0;
    int retries = 0;
    std::exception_ptr error_aside;  // of a task that timed out while its callable still runs
    std::unique_ptr<input_list> inputs;
};

/// The exception of a state in phase_error, for somebody who looks at it.
inline std::exception_ptr& error_of(state& s) noexcept {
    s.word.fetch_or(error_seen, std::memory_order_relaxed);  // [state] read by the last holder
    return s.look() & error_aside ? s.ops->extras(s)->error_aside : error_in_storage(s);
}

inline void input_list::settle() noexcept {
    state& dependent = *link.task;
    if (first_done_) {
        forget();
        dependent.release();
        return;
    }
    executor_core* const owner = dependent.owner;
    if (owner) owner->remove_dependent(link);
    state* failed = nullptr;
    for (auto const& input : inputs_) {
        if (phase_of(input->look()) != phase_value) {
            failed = input.get();
            break;
        }
    }
    if (failed) {
        fail(dependent, *failed);
    } else if (owner) {
        dependent.make_ready();
        owner->enqueue(dependent);
    } else if (dependent.claim_unready()) {
        dependent.ops->run(dependent);
    } else {
        dependent.release();
    }
    // The dependent state, and this list with it, may be gone here.
    if (owner) owner->release();
}

inline void input_list::fail(state& dependent, state& input) noexcept {
    executor_core* const owner = dependent.owner;
    if (phase_of(input.look()) == phase_cancelled) {
        cancel_task(dependent);
        forget();
        dependent.release();
        return;
    }
    if (!dependent.claim_unready()) {
        forget();
        dependent.release();
        return;
    }
    std::exception_ptr problem = error_of(input);
    forget();
    fail_claimed(dependent, std::move(problem));
    if (owner) owner->retire_unrun();
}

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// A strand: coroutines that await each other, as one line of execution on a loop. It is suspended
// in one place at most, can be cancelled there, and is resumed by the loop's thread only. A task
// that was submitted is a strand, and so is each child of when_all, with_timeout or a task_group.
#pragma once

#include <coroutine>
#include <exception>
#include <source_location>
#include <utility>

#include <concur/detail/sync/injection_queue.hpp>
#include <concur/detail/task/context.hpp>

namespace concur::inline v0::detail {

class loop_core;
class strand;
struct ready_node;
struct root_strand;
struct suspension;

/// What the loop calls when it is a node's turn.
struct ready_ops {
    void (*run)(ready_node&);
    void (*interrupt)(suspension&) noexcept;  // of a suspension: its strand is being cancelled
    char const* what;                         // of a suspension: what it waits for
};

/// Something whose turn comes on the loop's thread.
struct ready_node : queue_link {
    explicit ready_node(ready_ops const& o) noexcept : ops(&o) {}
    ready_ops const* ops;
};

/// Nodes in the order in which their turn comes. [ready] The loop's thread only.
class ready_list {
public:
    bool empty() const noexcept { return !first_; }
    void push(queue_link& node) noexcept {
        node.link.store(0, std::memory_order_relaxed);  // [ready]
        if (last_) {
            last_->link.store(reinterpret_cast<std::uintptr_t>(&node),
                              std::memory_order_relaxed);  // [ready]
        } else {
            first_ = &node;
        }
        last_ = &node;
    }
    queue_link* pop() noexcept {
        queue_link* const node = first_;
        if (!node) return nullptr;
        first_ =
            reinterpret_cast<queue_link*>(node->link.load(std::memory_order_relaxed));  // [ready]
        if (!first_) last_ = nullptr;
        return node;
    }

private:
    queue_link* first_ = nullptr;
    queue_link* last_ = nullptr;
};

/// The front of every promise: who awaits this coroutine, and in which strand it runs.
struct frame_head {
    frame_head* parent = nullptr;  // null: the strand ends with it
    strand* on = nullptr;          // null: not started
    std::exception_ptr error;
    std::source_location at;  // of its last co_await

    /// Promises are not aligned beyond malloc's promise, so that their place in a frame is known.
    std::coroutine_handle<> handle() noexcept {
        return std::coroutine_handle<frame_head>::from_promise(*this);
    }
};

// Protocol [strand] - all of it on the loop's thread.
//
//   waiting          where it is suspended; null while it runs, and while it is ready to
//   cancel_pending   a cancel that no co_await has thrown yet
//
// Invariant  a suspension is woken once: whoever wakes it takes it out of `waiting` first. A cancel
//            that comes between wake-up and resumption stays pending: the value that woke it
//            counts, and the next co_await that has to wait throws. So nothing is lost.
class strand : public ready_node {
public:
    struct operations : ready_ops {
        void (*finished)(strand&) noexcept;  // its first coroutine has ended; may free the strand
        char const* kind;
    };

    explicit strand(operations const& o) noexcept : ready_node(o) {}
    strand(strand const&) = delete;
    strand& operator=(strand const&) = delete;

    /// Resumes a coroutine of this strand, and those that it resumes, until it is suspended or at
    /// its end. Afterwards it may be gone. No coroutine resumes another one from within itself: on
    /// g++ without optimisation that would be a stack frame each.
    void resume(std::coroutine_handle<> frame);
    /// Starts the first coroutine.
    void start() { resume(first->handle()); }

    /// Throws task_cancelled out of the co_await at which it is suspended, or of its next one.
    void cancel() noexcept;

    operations const& kind() const noexcept { return static_cast<operations const&>(*ops); }

    loop_core* core = nullptr;
    root_strand* root = nullptr;      // whose task it runs in
    strand* parent = nullptr;         // that waits for it; null: a root
    frame_head* first = nullptr;      // of its first coroutine
    frame_head* innermost = nullptr;  // while suspended: the coroutine that is
    suspension* waiting = nullptr;
    std::coroutine_handle<> next_frame;  // of the coroutine that goes on
    strand* next_live = nullptr;         // in the loop's ring of strands
    strand* previous_live = nullptr;
    bool cancel_pending = false;
    bool ended = false;
    bool cancel_asked = false;  // ever
    bool started = false;
};

/// Where a strand is suspended. It stands in the frame of whoever awaits.
struct suspension : ready_node {
    explicit suspension(ready_ops const& o) noexcept : ready_node(o) {}
    suspension(suspension const&) = delete;
    suspension& operator=(suspension const&) = delete;

    /// The strand of `head` waits here. False: a cancel was pending, do not wait.
    bool enter(frame_head& head) noexcept {
        who = &head;
        strand& s = *head.on;
        if (s.cancel_pending) {
            s.cancel_pending = false;
            cancelled = true;
            return false;
        }
        s.innermost = &head;
        s.waiting = this;
        return true;
    }
    /// It is woken: nobody else may. Then resume() or the loop's list of ready nodes.
    void leave() noexcept { who->on->waiting = nullptr; }
    void resume() { who->on->resume(who->handle()); }

    /// leave(), and its turn comes.
    void wake() noexcept;
    /// The same, with task_cancelled as the outcome.
    void wake_cancelled() noexcept {
        who->on->cancel_pending = false;
        cancelled = true;
        wake();
    }
    void throw_if_cancelled() const;

    static void run_node(ready_node& node) { static_cast<suspension&>(node).resume(); }

    frame_head* who = nullptr;
    bool cancelled = false;
};

inline void strand::cancel() noexcept {
    cancel_asked = true;
    if (ended) return;
    cancel_pending = true;
    if (waiting) waiting->ops->interrupt(*waiting);
}

/// A strand whose end completes a future: that of a coroutine which was submitted.
struct root_strand : strand {
    root_strand(operations const& o, loop_core& c, state& t) noexcept : strand(o), task(&t) {
        core = &c;
        root = this;
    }

    /// What this_task says while it runs.
    task_context context() const noexcept;

    state* task;
    stop_hooks* hooks = nullptr;
    item_position position{};  // in its map
};

}  // namespace concur::inline v0::detail

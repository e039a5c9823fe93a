// SPDX-License-Identifier: BSL-1.0
// The machine behind when_all, when_any, with_timeout, shield and task_group: a coroutine that runs
// others as strands of their own and goes on when all of them have ended, never before.
#pragma once

#include <coroutine>
#include <exception>
#include <new>
#include <utility>
#include <vector>

#include <concur/detail/event_loop/task.hpp>

namespace concur::inline v0::detail {

class join;

/// One of the strands that a join waits for.
class child_strand : public strand {
public:
    enum class ending : std::uint8_t { open, value, failed, cancelled };

    child_strand() noexcept : strand(kind_of_all) {}

    join* to = nullptr;
    child_strand* next = nullptr;
    void (*free)(child_strand&) noexcept = nullptr;  // of one that nobody else owns
    ending how = ending::open;

private:
    static void turn(ready_node& node);
    static void has_finished(strand& s) noexcept;
    static constexpr operations kind_of_all{{&turn, nullptr, nullptr}, &has_finished, "child"};
};

// Protocol [join] - the loop's thread only.
//
//   open      children that have not ended; the awaiting coroutine is resumed when it falls to zero
//   failure   the first exception of a child, in time; the others go to the list of
//   keep_failures_in(), or
//             to on_error if there is none
//
// Invariant  nobody who is waited for is left behind: cancelling only asks, the join still waits. A
//            cancel from outside is passed on to the children, and stays pending until one of them
//            has ended because of it: then it is thrown here. A failure goes before it, and then
//            the cancel is thrown by the next co_await.
class join : public suspension {
public:
    enum class rule : std::uint8_t { first_failure_cancels, first_end_cancels, shielded };

    explicit join(rule r) noexcept : suspension(kind), rule_(r) {}
    ~join() {
        while (children_) forget(*children_);
    }

    /// Before or while it is awaited. The frame has not started.
    void add(child_strand& child, frame_head& first) noexcept {
        child.to = this;
        child.first = &first;
        child.next = std::exchange(children_, &child);
        if (running_) begin(child);
    }

    /// Asks all children to end.
    void cancel_children() noexcept {
        closed_ = true;
        for (auto* c = children_; c; c = c->next) c->cancel();
    }

    /// Later failures are collected there instead of going to on_error.
    void keep_failures_in(std::vector<std::exception_ptr>& list) noexcept { later_ = &list; }
    std::exception_ptr const& failure() const noexcept { return failure_; }
    child_strand* first_ended() const noexcept { return first_ended_; }
    bool any_cancelled() const noexcept { return any_cancelled_; }
    bool interrupted() const noexcept { return interrupted_; }
    loop_core& loop() const noexcept { return *who->on->core; }

    /// After all have ended: the cancel from outside, if one has had its effect.
    void throw_if_interrupted() {
        if (!interrupted_) return;
        who->on->cancel_pending = false;
        throw task_cancelled();
    }

    struct awaiter {
        bool await_ready() const noexcept { return false; }
        template <std::derived_from<promise_base> Promise>
        bool await_suspend(std::coroutine_handle<Promise> h) noexcept {
            return all.start(h.promise());
        }
        void await_resume() const {
            all.running_ = false;
            all.throw_if_cancelled();
        }
        join& all;
    };
    struct request : own_awaitable {
        explicit request(join& j) noexcept : all(j) {}
        awaiter make_awaiter() const noexcept { return {all}; }
        join& all;
    };
    /// Runs the children to their end. Throws only when a cancel was pending before they began.
    request run() noexcept { return request(*this); }

private:
    friend class child_strand;

    bool start(promise_base& head) noexcept {
        if (!enter(head)) return false;
        running_ = true;
        // Added at the front; they begin in the order in which they were added.
        child_strand* in_order = nullptr;
        while (auto* const c = children_) {
            children_ = c->next;
            c->next = std::exchange(in_order, c);
        }
        children_ = in_order;
        for (auto* c = children_; c; c = c->next) begin(*c);
        if (open_ != 0) return true;
        leave();
        return false;
    }

    void begin(child_strand& child) noexcept {
        strand& mine = *who->on;
        child.core = mine.core;
        child.root = mine.root;
        child.parent = &mine;
        child.first->on = &child;
        ++open_;
        mine.core->enter(child);
        if (closed_) child.cancel();
        mine.core->ready(child);
    }

    void ended(child_strand& child) noexcept {
        auto& problem = child.first->error;
        if (child.how == child_strand::ending::open) {
            using enum child_strand::ending;
            child.how = !problem                                           ? value
                        : child.cancel_asked && is_task_cancelled(problem) ? cancelled
                                                                           : failed;
        }
        if (child.how == child_strand::ending::cancelled) any_cancelled_ = true;
        bool const first = !std::exchange(has_ended_, true);
        if (first) first_ended_ = &child;
        if (child.how == child_strand::ending::failed) failed(child, first);
        if (first && rule_ == rule::first_end_cancels) cancel_children();
        if (child.free) forget(child);
        if (--open_ == 0) wake();
    }

    void failed(child_strand& child, bool first) noexcept {
        auto& problem = child.first->error;
        if (rule_ == rule::first_failure_cancels && !failure_) {
            failure_ = problem;
            cancel_children();
        } else if (rule_ == rule::first_failure_cancels || !first) {
            failed_later(problem);
        }
    }

    void failed_later(std::exception_ptr const& problem) noexcept {
        if (later_) {
            try {
                return later_->push_back(problem);
            } catch (std::bad_alloc const&) {
                // Then it is reported.
            }
        }
        error_sink::report(&loop(), problem);
    }

    /// Takes a child out of the list, and frees it if it is ours.
    void forget(child_strand& child) noexcept {
        auto** place = &children_;
        while (*place != &child) place = &(*place)->next;
        *place = child.next;
        if (child.free) child.free(child);
    }

    static void interrupt(suspension& s) noexcept {
        auto& self = static_cast<join&>(s);
        if (self.rule_ == rule::shielded) return;
        self.interrupted_ = true;
        self.cancel_children();
    }
    static constexpr ready_ops kind{&run_node, &interrupt, "its children"};

    child_strand* children_ = nullptr;
    child_strand* first_ended_ = nullptr;
    std::exception_ptr failure_;
    std::vector<std::exception_ptr>* later_ = nullptr;
    std::size_t open_ = 0;
    rule const rule_;
    bool running_ = false;
    bool closed_ = false;
    bool has_ended_ = false;
    bool any_cancelled_ = false;
    bool interrupted_ = false;
};

inline void child_strand::turn(ready_node& node) {
    auto& self = static_cast<child_strand&>(node);
    if (!self.cancel_pending) return self.start();
    // Cancelled before its start: it never runs.
    self.cancel_pending = false;
    self.ended = true;
    self.how = ending::cancelled;
    has_finished(self);
}

inline void child_strand::has_finished(strand& s) noexcept {
    s.core->leave(s);
    auto& self = static_cast<child_strand&>(s);
    self.to->ended(self);
}

}  // namespace concur::inline v0::detail

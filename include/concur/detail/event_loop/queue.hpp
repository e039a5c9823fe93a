// SPDX-License-Identifier: BSL-1.0
// async_queue<T>: items from coroutines to coroutines of one loop, first in first out. On the
// loop's thread; from elsewhere, submit a function that uses it.
#pragma once

#include <coroutine>
#include <deque>
#include <optional>
#include <stdexcept>
#include <utility>

#include <concur/detail/event_loop/wait_list.hpp>
#include <concur/executor.hpp>

namespace concur::inline v0 {

// Protocol [queue] - the loop's thread only.
//
// Invariant  somebody waits to pop only while no item is there, and to push only while it is full.
//            An item goes from one owner to the next: the pusher, the queue, the popper's place in
//            line. A popper that is cancelled after it was given an item still gets it; one that
//            leaves the line before was not given any. So none is lost.
template <class T>
class async_queue {
    struct pop_place : detail::wait_place_in_line {
        explicit pop_place(async_queue& q) noexcept : wait_place_in_line(q.poppers_, kind) {}
        std::optional<T> item;  // empty after the wake-up: the queue was closed
        static constexpr detail::ready_ops kind{&detail::suspension::run_node,
                                                &detail::wait_place_in_line::interrupted,
                                                "an async_queue to hold an item"};
    };
    class pop_awaiter : pop_place {
    public:
        explicit pop_awaiter(async_queue& q) noexcept : pop_place(q), queue_(q) {}
        bool await_ready() {
            this->item = queue_.try_pop();
            return this->item || queue_.closed_;
        }
        template <std::derived_from<detail::promise_base> Promise>
        bool await_suspend(std::coroutine_handle<Promise> h) noexcept {
            return queue_.poppers_.join(*this, h.promise());
        }
        T await_resume() {
            this->throw_if_cancelled();
            if (!this->item) throw queue_closed();
            return *std::move(this->item);
        }

    private:
        async_queue& queue_;
    };
    struct pop_request : detail::own_awaitable {
        explicit pop_request(async_queue& q) noexcept : queue(q) {}
        pop_awaiter make_awaiter() const noexcept { return pop_awaiter(queue); }
        async_queue& queue;
    };

    struct push_place : detail::wait_place_in_line {
        push_place(async_queue& q, T&& i)
            : wait_place_in_line(q.pushers_, kind), item(std::move(i)) {}
        T item;
        bool taken = false;  // false after the wake-up: the queue was closed
        static constexpr detail::ready_ops kind{&detail::suspension::run_node,
                                                &detail::wait_place_in_line::interrupted,
                                                "an async_queue to have room"};
    };
    class push_awaiter : push_place {
    public:
        push_awaiter(async_queue& q, T&& i) : push_place(q, std::move(i)), queue_(q) {}
        bool await_ready() {
            this->taken = queue_.take(this->item);
            return this->taken || queue_.closed_;
        }
        template <std::derived_from<detail::promise_base> Promise>
        bool await_suspend(std::coroutine_handle<Promise> h) noexcept {
            return queue_.pushers_.join(*this, h.promise());
        }
        void await_resume() const {
            this->throw_if_cancelled();
            if (!this->taken) throw queue_closed("push: the queue is closed");
        }

    private:
        async_queue& queue_;
    };
    class push_request : public detail::own_awaitable {
    public:
        push_request(async_queue& q, T&& i) : queue_(q), item_(std::move(i)) {}
        push_awaiter make_awaiter() && { return push_awaiter(queue_, std::move(item_)); }

    private:
        async_queue& queue_;
        T item_;
    };

public:
    /// capacity  items that it holds before push waits; 0: no limit.
    explicit async_queue(count capacity = 0) : capacity_(capacity) {}

    /// co_await it: waits while the queue is full. Throws queue_closed. Cancellable.
    auto push(T item) { return push_request(*this, std::move(item)); }
    /// co_await it: waits for an item. Throws queue_closed once it is closed and empty.
    /// Cancellable.
    auto pop() noexcept { return pop_request(*this); }

    /// False: full, or closed; then the item is where it was.
    bool try_push(T&& item) { return take(item); }
    bool try_push(T const& item)
        requires std::is_copy_constructible_v<T>
    {
        T copy(item);
        return take(copy);
    }
    std::optional<T> try_pop() {
        if (items_.empty()) return std::nullopt;
        std::optional<T> item(std::move(items_.front()));
        items_.pop_front();
        if (auto* const pusher = static_cast<push_place*>(pushers_.first())) {
            items_.push_back(std::move(pusher->item));
            pusher->taken = true;
            pushers_.wake_first();
        }
        return item;
    }

    /// No more pushes. What is in it can still be popped. May be repeated.
    void close() {
        closed_ = true;
        while (pushers_.wake_first()) {
        }
        while (poppers_.wake_first()) {
        }
    }
    bool closed() const noexcept { return closed_; }
    bool empty() const noexcept { return items_.empty(); }
    std::size_t size() const noexcept { return items_.size(); }

private:
    bool take(T& item) {
        if (closed_) return false;
        if (auto* const popper = static_cast<pop_place*>(poppers_.first())) {
            popper->item.emplace(std::move(item));
            poppers_.wake_first();
            return true;
        }
        if (capacity_ != 0 && items_.size() >= capacity_) return false;
        items_.push_back(std::move(item));
        return true;
    }

    std::size_t const capacity_;
    bool closed_ = false;
    std::deque<T> items_;
    detail::wait_list poppers_;
    detail::wait_list pushers_;
};

}  // namespace concur::inline v0

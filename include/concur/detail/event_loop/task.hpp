// SPDX-License-Identifier: BSL-1.0
// task<T>: what a coroutine of an event_loop returns. It starts when it is awaited or submitted, is
// awaited once, and ends before whoever awaits it goes on.
#pragma once

#include <coroutine>
#include <exception>
#include <future>
#include <memory>
#include <new>
#include <source_location>
#include <type_traits>
#include <utility>

#include <concur/detail/event_loop/core.hpp>
#include <concur/detail/sync/node_cache.hpp>

namespace concur::inline v0 {

template <class T = void>
class task;

namespace detail {

/// What a coroutine can co_await beyond tasks: a specialisation makes the awaiter. Those of
/// concur's own primitives are awaiters already.
template <class A>
struct await_adaptor {
    static constexpr bool accepted = false;
};

/// What is to be co_awaited, of concur's own: small, and its make_awaiter() gives what stands in
/// the frame meanwhile. (An awaiter that await_transform gives by reference is copied by g++ 12.)
struct own_awaitable {};

template <class A>
inline constexpr bool can_await = std::is_base_of_v<own_awaitable, std::remove_cvref_t<A>> ||
                                  await_adaptor<std::remove_cvref_t<A>>::accepted;

template <class A>
auto awaiter_for(A&& awaited) {
    static_assert(
        can_await<A>,
        "co_await in a task<T>: this is neither a task, nor a concur::future, nor a "
        "boost::asio::awaitable<T>, nor an Asio operation (pass boost::asio::deferred as the last "
        "argument), nor one of concur's primitives (sleep_for, async_queue, ...)");
    if constexpr (std::is_base_of_v<own_awaitable, std::remove_cvref_t<A>>) {
        return std::forward<A>(awaited).make_awaiter();
    } else if constexpr (can_await<A>) {
        return await_adaptor<std::remove_cvref_t<A>>::adapt(std::forward<A>(awaited));
    } else {
        return std::suspend_never{};
    }
}

class promise_base : public frame_head {
public:
    static void* operator new(std::size_t bytes) { return allocate_frame(bytes); }
    static void operator delete(void* memory, std::size_t bytes) noexcept {
        deallocate_frame(memory, bytes);
    }

    /// Hands over to whoever awaits it, by way of the loop that resumes strands.
    struct final_awaiter {
        bool await_ready() const noexcept { return false; }
        template <class Promise>
        void await_suspend(std::coroutine_handle<Promise> h) const noexcept {
            promise_base& self = h.promise();
            if (self.parent) {
                self.on->next_frame = self.parent->handle();
            } else {
                self.on->ended = true;
            }
        }
        void await_resume() const noexcept {}
    };

    std::suspend_always initial_suspend() const noexcept { return {}; }
    final_awaiter final_suspend() const noexcept { return {}; }
    void unhandled_exception() noexcept { error = std::current_exception(); }

    template <class A>
    auto await_transform(A&& awaited,
                         std::source_location where = std::source_location::current()) {
        at = where;
        return awaiter_for(std::forward<A>(awaited));
    }
};

inline constexpr std::size_t frame_alignment = 2 * sizeof(void*);

/// Where a coroutine's value stands in its promise. What needs more alignment than a frame has
/// stands elsewhere.
template <class T>
class promise_value {
    static constexpr bool in_frame = alignof(T) <= frame_alignment;

public:
    promise_value() noexcept {}
    ~promise_value() {
        if (stored_) std::destroy_at(get());
        if constexpr (!in_frame) delete storage();
    }
    template <class Value>
    void emplace(Value&& value) {
        if constexpr (!in_frame) place_ = new aligned;
        ::new (static_cast<void*>(storage()->bytes)) T(std::forward<Value>(value));
        stored_ = true;
    }
    T take() { return std::move(*get()); }

private:
    struct alignas(T) aligned {
        std::byte bytes[sizeof(T)];
    };
    aligned* storage() noexcept {
        if constexpr (in_frame) {
            return &place_;
        } else {
            return place_;
        }
    }
    T* get() noexcept { return std::launder(reinterpret_cast<T*>(storage()->bytes)); }

    union {
        std::conditional_t<in_frame, aligned, aligned*> place_{};
    };
    bool stored_ = false;
};

template <class T>
class task_promise final : public promise_base {
public:
    task<T> get_return_object() noexcept;
    template <class Value = T>
        requires std::is_constructible_v<T, Value>
    void return_value(Value&& value) {
        value_.emplace(std::forward<Value>(value));
    }
    /// Of a coroutine that has ended.
    T take() {
        if (error) std::rethrow_exception(std::move(error));
        return value_.take();
    }

private:
    promise_value<T> value_;
};

template <>
class task_promise<void> final : public promise_base {
public:
    task<void> get_return_object() noexcept;
    void return_void() const noexcept {}
    void take() {
        if (error) std::rethrow_exception(std::move(error));
    }
};

/// The frame of a coroutine, owned.
template <class T>
class frame_owner {
public:
    using handle_type = std::coroutine_handle<task_promise<T>>;
    frame_owner() = default;
    explicit frame_owner(handle_type h) noexcept : handle_(h) {}
    frame_owner(frame_owner&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
    frame_owner& operator=(frame_owner&& other) noexcept {
        frame_owner(std::move(other)).swap(*this);
        return *this;
    }
    ~frame_owner() {
        if (handle_) handle_.destroy();
    }
    void swap(frame_owner& other) noexcept { std::swap(handle_, other.handle_); }
    explicit operator bool() const noexcept { return static_cast<bool>(handle_); }
    task_promise<T>& promise() const noexcept { return handle_.promise(); }
    handle_type give_up() noexcept { return std::exchange(handle_, {}); }
    void reset() noexcept { frame_owner().swap(*this); }

private:
    handle_type handle_;
};

/// co_await of a task: it runs in the strand of whoever awaits.
template <class T>
class task_awaiter {
public:
    explicit task_awaiter(frame_owner<T> child) noexcept : child_(std::move(child)) {}
    bool await_ready() const {
        if (!child_) throw std::future_error(std::future_errc::no_state);
        return false;
    }
    template <class Promise>
        requires std::derived_from<Promise, promise_base>
    void await_suspend(std::coroutine_handle<Promise> parent) noexcept {
        promise_base& above = parent.promise();
        promise_base& child = child_.promise();
        child.parent = &above;
        child.on = above.on;
        above.on->next_frame = child.handle();
    }
    T await_resume() { return child_.promise().take(); }

private:
    frame_owner<T> child_;
};

struct task_access;

inline bool is_task_cancelled(std::exception_ptr const& problem) noexcept {
    try {
        std::rethrow_exception(problem);
    } catch (task_cancelled const&) {
        return true;
    } catch (...) {
        return false;
    }
}

}  // namespace detail

/// A coroutine that has not started. `co_await std::move(t)`, or submit the function that makes it.
template <class T>
class [[nodiscard]] task {
    static_assert(!std::is_reference_v<T>,
                  "task<T&>: a task gives a value; return a pointer or a std::reference_wrapper");

public:
    using value_type = T;
    using promise_type = detail::task_promise<T>;

    task() = default;
    task(task&&) noexcept = default;
    task& operator=(task&&) noexcept = default;

    /// False once it was awaited or moved from.
    bool valid() const noexcept { return static_cast<bool>(frame_); }

private:
    explicit task(detail::frame_owner<T> frame) noexcept : frame_(std::move(frame)) {}

    detail::frame_owner<T> frame_;

    friend class detail::task_promise<T>;
    friend struct detail::task_access;
};

namespace detail {

struct task_access {
    template <class T>
    static frame_owner<T>& frame_of(task<T>& t) noexcept {
        return t.frame_;
    }
};

template <class T>
task<T> task_promise<T>::get_return_object() noexcept {
    return task<T>(frame_owner<T>(std::coroutine_handle<task_promise>::from_promise(*this)));
}
inline task<void> task_promise<void>::get_return_object() noexcept {
    return task<void>(frame_owner<void>(std::coroutine_handle<task_promise>::from_promise(*this)));
}

template <class T>
struct await_adaptor<task<T>> {
    static constexpr bool accepted = true;
    static task_awaiter<T> adapt(task<T>&& t) {
        return task_awaiter<T>(std::move(task_access::frame_of(t)));
    }
    template <class U>
    static std::suspend_never adapt(U&) {
        static_assert(!std::is_same_v<std::remove_cv_t<U>, task<T>>,
                      "co_await of a task that has a name: it is awaited once, so std::move it");
        return {};
    }
};

}  // namespace detail
}  // namespace concur::inline v0

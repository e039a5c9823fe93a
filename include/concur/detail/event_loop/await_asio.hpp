// SPDX-License-Identifier: BSL-1.0
// co_await of Asio: operations made with boost::asio::deferred, and boost::asio::awaitable<T>. The
// operation's result, if it takes an error code, throws boost::system::system_error as in Asio.
// A cancelled strand cancels the operation; one that succeeds all the same keeps its result.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <coroutine>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <concur/detail/event_loop/task.hpp>

namespace concur::inline v0::detail {

/// What an operation with this completion signature gives: without the error in front; a tuple for
/// several values.
template <class... T>
struct completion {
    using stored = std::tuple<std::decay_t<T>...>;
    static void check(stored&) noexcept {}
    static constexpr std::size_t skipped = 0;
};
template <class... T>
struct completion<boost::system::error_code, T...> {
    using stored = std::tuple<boost::system::error_code, std::decay_t<T>...>;
    static void check(stored& result) {
        if (auto const& code = std::get<0>(result)) throw boost::system::system_error(code);
    }
    static constexpr std::size_t skipped = 1;
};
template <class... T>
struct completion<std::exception_ptr, T...> {
    using stored = std::tuple<std::exception_ptr, std::decay_t<T>...>;
    static void check(stored& result) {
        if (auto& problem = std::get<0>(result)) std::rethrow_exception(std::move(problem));
    }
    static constexpr std::size_t skipped = 1;
};

template <class Signature>
struct completion_of;
template <class... T>
struct completion_of<void(T...)> : completion<std::decay_t<T>...> {};

// Protocol [operation]
//
//   awaiter -> handler   the handler that Asio moves about tells the awaiter where it is
//   handler -> awaiter   null once the awaiter is gone
//
// Invariant  the handler runs, or is dropped, at most once; a frame that goes first is not touched
//            afterwards, and one that waits is resumed also when Asio drops its handler.
class operation_base : public suspension {
public:
    operation_base() : suspension(kind) {}
    ~operation_base() {
        if (handler_) handler_->awaiter_ = nullptr;
    }

    class handler_base {
    public:
        explicit handler_base(operation_base& a) noexcept : awaiter_(&a) { a.handler_ = this; }
        handler_base(handler_base&& other) noexcept
            : awaiter_(std::exchange(other.awaiter_, nullptr)) {
            if (awaiter_) awaiter_->handler_ = this;
        }
        handler_base& operator=(handler_base&&) = delete;
        ~handler_base() {
            if (awaiter_) awaiter_->dropped();
        }

        using executor_type = loop_core::io_executor;
        executor_type get_executor() const noexcept { return loop_->context().get_executor(); }
        using cancellation_slot_type = boost::asio::cancellation_slot;
        cancellation_slot_type get_cancellation_slot() const noexcept {
            return awaiter_ ? awaiter_->signal_.slot() : cancellation_slot_type();
        }

    protected:
        operation_base* take() noexcept {
            auto* const a = std::exchange(awaiter_, nullptr);
            if (a) a->handler_ = nullptr;
            return a;
        }

    private:
        friend class operation_base;
        operation_base* awaiter_;
        loop_core* loop_ = this_loop;
    };

protected:
    /// Inside await_suspend: the operation may complete before it returns.
    bool initiated() noexcept {
        initiating_ = false;
        if (!completed_) return true;
        leave();
        return false;
    }

    void complete() {
        loop_core& loop = *who->on->core;
        if (!loop.here()) {
            // Some operations complete wherever they like; the frame may be gone in no time.
            loop.retain();
            loop.wake_from_anywhere(*this);
            return loop.release();
        }
        completed_ = true;
        if (initiating_) return;
        if (loop.running) {
            wake();  // Asio runs it inside a coroutine, or inside a cancel
        } else {
            leave();
            resume();
        }
    }

    /// True: the operation ended because the strand is being cancelled.
    bool take_cancel() noexcept {
        strand& s = *who->on;
        return std::exchange(s.cancel_pending, false);
    }

    bool initiating_ = true;
    bool completed_ = false;
    bool dropped_ = false;

private:
    void dropped() noexcept {
        handler_ = nullptr;
        dropped_ = true;
        try {
            complete();
        } catch (...) {
            report_current(who->on->core);
        }
    }
    static void woken(ready_node& node) {
        auto& self = static_cast<operation_base&>(node);
        if (self.who->on->waiting == &self) self.leave();
        self.resume();
    }
    static void interrupted(suspension& s) noexcept {
        auto& self = static_cast<operation_base&>(s);
        try {
            self.signal_.emit(boost::asio::cancellation_type::all);
        } catch (...) {
            report_current(self.who->on->core);
        }
    }
    static constexpr ready_ops kind{&woken, &interrupted, "an Asio operation"};

    handler_base* handler_ = nullptr;
    boost::asio::cancellation_signal signal_;
};

template <class Awaiter>
class operation_handler : public operation_base::handler_base {
public:
    explicit operation_handler(Awaiter& a) noexcept : handler_base(a) {}
    template <class... T>
    void operator()(T&&... values) {
        auto* const self = static_cast<Awaiter*>(this->take());
        if (self) self->complete_with(std::forward<T>(values)...);
    }
};

template <class Operation, class Signature>
class operation_awaiter : public operation_base {
    using rules = completion_of<Signature>;
    using stored = typename rules::stored;

public:
    explicit operation_awaiter(Operation&& operation) : operation_(std::move(operation)) {}

    bool await_ready() const noexcept { return false; }
    template <std::derived_from<promise_base> Promise>
    bool await_suspend(std::coroutine_handle<Promise> h) {
        promise_base& head = h.promise();
        if (!enter(head)) return false;
        std::move(operation_)(operation_handler<operation_awaiter>(*this));
        return initiated();
    }
    template <class... T>
    void complete_with(T&&... values) {
        result_.emplace(std::forward<T>(values)...);
        complete();
    }

    auto await_resume() {
        throw_if_cancelled();
        if (!result_) throw_dropped();
        try {
            rules::check(*result_);
        } catch (boost::system::system_error const& problem) {
            if (problem.code() == boost::asio::error::operation_aborted && take_cancel()) {
                throw task_cancelled();
            }
            throw;
        }
        constexpr auto values = std::tuple_size_v<stored> - rules::skipped;
        if constexpr (values == 1) {
            return std::get<rules::skipped>(std::move(*result_));
        } else if constexpr (values > 1) {
            return tail(std::make_index_sequence<values>());
        }
    }

private:
    template <std::size_t... I>
    auto tail(std::index_sequence<I...>) {
        return std::tuple(std::get<I + rules::skipped>(std::move(*result_))...);
    }
    [[noreturn]] void throw_dropped() {
        if (take_cancel()) throw task_cancelled();
        throw boost::system::system_error(boost::asio::error::operation_aborted,
                                          "the operation was dropped");
    }

    Operation operation_;
    std::optional<stored> result_;
};

template <class A>
concept asio_operation =
    boost::asio::is_async_operation<A>::value && !std::is_base_of_v<own_awaitable, A>;

template <class A>
    requires asio_operation<A>
struct await_adaptor<A> {
    static constexpr bool accepted = true;
    template <class From>
    static auto adapt(From&& operation) {
        return operation_awaiter<A, boost::asio::completion_signature_of_t<A>>(
            A(std::forward<From>(operation)));
    }
};

/// co_spawn as an operation: Asio's own coroutines run inside of ours.
template <class T, class Executor>
class spawned {
public:
    explicit spawned(boost::asio::awaitable<T, Executor>&& a) : coroutine_(std::move(a)) {}
    template <class Handler>
    void operator()(Handler&& handler) && {
        boost::asio::co_spawn(this_loop->context().get_executor(), std::move(coroutine_),
                              std::forward<Handler>(handler));
    }

private:
    boost::asio::awaitable<T, Executor> coroutine_;
};

template <class T>
struct spawned_signature {
    using type = void(std::exception_ptr, T);
};
template <>
struct spawned_signature<void> {
    using type = void(std::exception_ptr);
};

template <class T, class Executor>
struct await_adaptor<boost::asio::awaitable<T, Executor>> {
    static constexpr bool accepted = true;
    static auto adapt(boost::asio::awaitable<T, Executor>&& a) {
        return operation_awaiter<spawned<T, Executor>, typename spawned_signature<T>::type>(
            spawned<T, Executor>(std::move(a)));
    }
};

}  // namespace concur::inline v0::detail

/// For sockets and timers as they usually are. Asio compares executors of one type only: one that
/// it finds to be the object's own costs no count of work, and no dispatch.
template <class Awaiter>
struct boost::asio::associated_executor<concur::detail::operation_handler<Awaiter>,
                                        boost::asio::any_io_executor> {
    using type = boost::asio::any_io_executor;
    static type get(concur::detail::operation_handler<Awaiter> const& handler,
                    type const& = {}) noexcept {
        return handler.get_executor();
    }
};

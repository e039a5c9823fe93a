// SPDX-License-Identifier: BSL-1.0
// future<T>: one result, now or later. shared_future<T>: the same for several readers.
// promise<T>: a future that you complete yourself.
// Distinct futures may be used freely; on one future the const members, cancel, request_stop and
// add_done_callback may be called by any thread, the others by one. A future is one pointer and may
// outlive its executor. Dropping it neither blocks nor cancels.
#pragma once

#include <chrono>
#include <exception>
#include <future>
#include <memory>
#include <type_traits>
#include <utility>

#include <concur/detail/task/blocking.hpp>
#include <concur/detail/task/job.hpp>
#include <concur/error.hpp>
#include <concur/outcome.hpp>

namespace concur::inline v0 {

template <class T>
class future;
template <class T>
class shared_future;

namespace detail {

/// What future and shared_future have in common: everything that does not touch the value.
class future_base {
public:
    bool valid() const noexcept { return static_cast<bool>(state_); }

    /// Blocks   until there is a value or an exception, or the task is cancelled. Inside a task of
    ///          the same executor it runs that work.
    /// Throws   would_deadlock, when that could never end; std::future_error no_state.
    void wait() const { wait_done(checked()); }

    template <class Rep, class Period>
    std::future_status wait_for(std::chrono::duration<Rep, Period> span) const {
        return status(wait_done(checked(), deadline_of(span)));
    }
    template <class Clock, class Span>
    std::future_status wait_until(std::chrono::time_point<Clock, Span> when) const {
        // Subtracted as floating-point numbers: time_point::min() is no overflow, only long ago.
        using seconds = std::chrono::duration<long double>;
        seconds const left =
            seconds(when.time_since_epoch()) - seconds(Clock::now().time_since_epoch());
        return status(wait_done(checked(), deadline_of(left)));
    }

    /// These three never block, and may be asked in a loop.
    bool done() const noexcept { return state_ && poll_done(*state_); }
    bool running() const noexcept {
        if (!state_) return false;
        auto const seen = state_->look();
        if (seen & away) return started_elsewhere(*state_);
        return phase_of(seen) == phase_running && !(seen & not_ready);
    }
    bool cancelled() const noexcept {
        return state_ && phase_of(state_->look()) == phase_cancelled;
    }

    /// True: it had not started (or was cancelled before), never will, and everyone who waits knows
    /// already. False: it runs or is done; nothing was changed.
    bool cancel() {
        require_reachable(checked());
        return cancel_task(*state_);
    }

    /// Cancels a task that has not started; one that runs sees it by this_task::stop_requested().
    void request_stop() {
        if (!cancel()) ask_to_stop(*state_);
    }

    /// Null when it holds a value; task_cancelled when it was cancelled.
    /// Blocks   like wait().
    std::exception_ptr exception() const {
        wait();
        return problem();
    }

    /// Calls f() once when done: on the thread that completes it, or at once if it is done already.
    /// In order of registration. What f throws goes to the executor's on_error.
    template <class F>
    void add_done_callback(F f) {
        struct callback final : waiter {
            callback(F&& function, executor_core const* core)
                : waiter(waiter::when::foreign, &callback::call),
                  f(std::move(function)),
                  owner(core) {}
            static void call(waiter& w) noexcept {
                std::unique_ptr<callback> const self(static_cast<callback*>(&w));
                try {
                    std::move(self->f)();
                } catch (...) {
                    report_current(self->owner);
                }
            }
            F f;
            executor_core const* owner;
        };
        state& s = checked();
        require_reachable(s);
        auto node = std::make_unique<callback>(std::move(f), s.owner);
        if (s.add_waiter(*node)) {
            static_cast<void>(node.release());
        } else {
            callback::call(*node.release());
        }
    }

protected:
    future_base() = default;
    explicit future_base(state_ref s) noexcept : state_(std::move(s)) {}

    state& checked() const {
        if (!state_) throw std::future_error(std::future_errc::no_state);
        return *state_;
    }

    static std::future_status status(bool done) noexcept {
        return done ? std::future_status::ready : std::future_status::timeout;
    }

    /// Saturates: a span of hours::max() is no overflow, only very long.
    template <class Rep, class Period>
    static time_point deadline_of(std::chrono::duration<Rep, Period> span) noexcept {
        using seconds = std::chrono::duration<long double>;
        seconds const wide(span);
        if (wide > seconds(9e9L)) return time_point::max();
        if (wide <= seconds(0)) return time_point::min();
        return deadline_after(std::chrono::duration_cast<duration>(wide));
    }

    /// Of a state that is done: the exception, or null.
    static std::exception_ptr problem_of(state& s) {
        switch (phase_of(s.look())) {
            case phase_value:
                return nullptr;
            case phase_error:
                return error_of(s);
            default:
                return std::make_exception_ptr(task_cancelled());
        }
    }
    std::exception_ptr problem() const { return problem_of(*state_); }

    /// The same for the only reader.
    static std::exception_ptr take_problem(state& s) {
        if (phase_of(s.look()) == phase_error) return std::move(error_of(s));
        return problem_of(s);
    }

    static void rethrow_problem(state& s) {
        if (phase_of(s.look()) != phase_value) std::rethrow_exception(problem_of(s));
    }

    state_ref state_;

    friend struct future_access;
};

/// The door for the rest of the library.
struct future_access {
    template <class T>
    static future<T> make(state_ref s) noexcept {
        return future<T>(std::move(s));
    }
    static state* state_in(future_base const& f) noexcept { return f.state_.get(); }
};

}  // namespace detail

/// One result of type T, to be taken once.
template <class T>
class [[nodiscard]] future : public detail::future_base {
    static_assert(
        !std::is_reference_v<T>,
        "future<T&>: a future holds a value; return a pointer or a std::reference_wrapper");

public:
    using value_type = T;

    future() = default;
    future(future&&) noexcept = default;
    future& operator=(future&&) noexcept = default;

    /// Moves the value out, or throws what the task threw; then valid() is false.
    /// Blocks   like wait().
    /// Throws   what the task threw, task_cancelled, would_deadlock.
    T get() {
        wait();
        return take();
    }

    /// Throws   timeout_error after `span` too; the future stays valid, the task goes on.
    template <class Rep, class Period>
    T get(std::chrono::duration<Rep, Period> span) {
        if (!detail::wait_done(checked(), deadline_of(span))) {
            throw timeout_error("get: the future is not done yet after the time given");
        }
        return take();
    }

    /// Like get(), but hands over what the task threw instead of throwing it.
    outcome<T> get_outcome() {
        wait();
        if (auto error = take_problem(*state_)) {
            state_ = {};
            return outcome<T>(std::move(error));
        }
        if constexpr (std::is_void_v<T>) {
            state_ = {};
            return outcome<void>();
        } else {
            return outcome<T>(take());
        }
    }

    /// A future that can be copied and read any number of times. This one is invalid afterwards.
    shared_future<T> share() && { return shared_future<T>(std::move(state_)); }

private:
    explicit future(detail::state_ref s) noexcept : future_base(std::move(s)) {}

    /// The exception leaves the state: whoever drops the state last does not drop that too.
    T take() {
        detail::state_ref const holder = std::move(state_);
        if (auto error = take_problem(*holder)) std::rethrow_exception(std::move(error));
        if constexpr (!std::is_void_v<T>) return std::move(detail::result_of<T>(*holder));
    }

    friend struct detail::future_access;
};

/// One result of type T for any number of readers; copies are handles to the same.
template <class T>
class [[nodiscard]] shared_future : public detail::future_base {
public:
    using value_type = T;

    shared_future() = default;
    shared_future(future<T>&& from) noexcept : shared_future(std::move(from).share()) {}

    /// Blocks and throws like future<T>::get(), any number of times.
    decltype(auto) get() const {
        wait();
        return value();
    }
    template <class Rep, class Period>
    decltype(auto) get(std::chrono::duration<Rep, Period> span) const {
        if (!detail::wait_done(checked(), deadline_of(span))) {
            throw timeout_error("get: the future is not done yet after the time given");
        }
        return value();
    }

private:
    explicit shared_future(detail::state_ref s) noexcept : future_base(std::move(s)) {}

    std::add_lvalue_reference_t<T const> value() const {
        rethrow_problem(*state_);
        if constexpr (!std::is_void_v<T>) return detail::result_of<T>(*state_);
    }

    friend class future<T>;
    friend struct detail::future_access;
};

/// Completes a future of your own. One that is dropped unset leaves broken_promise in its future.
/// Setting the value of a future that was cancelled is ignored; misuse is std::future_error.
template <class T>
class promise {
    struct nothing {
        static constexpr std::size_t tasks = 0;
        T operator()() && { std::terminate(); }  // never queued, so never run
    };
    using block = detail::job<nothing, T, false>;

public:
    promise() : state_(&block::make(nullptr, detail::not_ready, 1, [] { return nothing{}; })) {}
    promise(promise&& other) noexcept
        : state_(std::move(other.state_)), retrieved_(other.retrieved_) {}
    promise& operator=(promise&& other) noexcept {
        promise(std::move(other)).swap(*this);
        return *this;
    }
    ~promise() {
        if (!state_ || state_->done()) return;
        fail(std::make_exception_ptr(std::future_error(std::future_errc::broken_promise)));
    }

    void swap(promise& other) noexcept {
        std::swap(state_, other.state_);
        std::swap(retrieved_, other.retrieved_);
    }

    /// Throws   std::future_error future_already_retrieved, no_state.
    future<T> get_future() {
        detail::state& s = checked();
        if (std::exchange(retrieved_, true)) {
            throw std::future_error(std::future_errc::future_already_retrieved);
        }
        return detail::future_access::make<T>(detail::state_ref::share(s));
    }

    /// Throws   std::future_error promise_already_satisfied, no_state.
    template <class Value = T>
        requires(!std::is_void_v<T>) && std::is_constructible_v<T, Value>
    void set_value(Value&& value) {
        store(detail::stored_t<T>(std::forward<Value>(value)));
    }
    void set_value()
        requires std::is_void_v<T>
    {
        store({});
    }
    void set_exception(std::exception_ptr problem) {
        if (claim()) publish_error(std::move(problem));
    }

private:
    void store(detail::stored_t<T> stored) {
        if (!claim()) return;
        try {
            ::new (static_cast<void*>(detail::behind<detail::stored_t<T>>(*state_)))
                detail::stored_t<T>(std::move(stored));
        } catch (...) {
            return publish_error(std::current_exception());
        }
        publish(detail::phase_value);
    }

    detail::state& checked() const {
        if (!state_) throw std::future_error(std::future_errc::no_state);
        return *state_;
    }

    /// False: it was cancelled, so what is set is ignored.
    bool claim() {
        if (checked().claim_unready()) return true;
        if (detail::phase_of(state_->look()) == detail::phase_cancelled) return false;
        throw std::future_error(std::future_errc::promise_already_satisfied);
    }

    void publish(std::uint64_t phase) {
        state_->retain();  // publish() gives one up, and the promise still wants to look
        state_->publish(phase);
    }

    void publish_error(std::exception_ptr problem) {
        ::new (static_cast<void*>(detail::behind<std::exception_ptr>(*state_)))
            std::exception_ptr(std::move(problem));
        publish(detail::phase_error);
    }

    void fail(std::exception_ptr problem) {
        if (state_->claim_unready()) publish_error(std::move(problem));
    }

    detail::state_ref state_;
    bool retrieved_ = false;
};

}  // namespace concur::inline v0

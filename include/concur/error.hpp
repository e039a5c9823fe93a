// SPDX-License-Identifier: BSL-1.0
// Every exception that concur throws of its own; all derive from concur::error.
// Wrong options throw std::invalid_argument, misuse of a future std::future_error.
#pragma once

#include <atomic>
#include <exception>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <concur/detail/base/config.hpp>

namespace concur::inline v0 {

/// The root of the family: catch this to catch them all.
class CONCUR_API error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// A verb was called after shutdown().
class CONCUR_API executor_shut_down : public error {
public:
    executor_shut_down() : error("cannot schedule new futures after shutdown") {}
    using error::error;
};

/// The executor cannot run anything any more; the text says why.
class CONCUR_API broken_executor : public error {
public:
    using error::error;
};

/// The task was cancelled before it started, or ended early because it was asked to.
class CONCUR_API task_cancelled : public error {
public:
    task_cancelled() : error("the task was cancelled") {}
    using error::error;
};

/// A time limit passed: of a task, of a map, or of the wait that throws it.
class CONCUR_API timeout_error : public error {
public:
    timeout_error() : error("the time limit passed") {}
    using error::error;
};

/// This wait could never end, because what it waits for waits for this thread.
class CONCUR_API would_deadlock : public error {
public:
    using error::error;
};

/// The queue was closed and holds nothing more.
class CONCUR_API queue_closed : public error {
public:
    queue_closed() : error("the queue is closed and empty") {}
    using error::error;
};

/// Bytes that are not what the receiver expects, or a value that cannot become bytes.
class CONCUR_API codec_error : public error {
public:
    using error::error;
};

/// The worker process that ran the task died.
class CONCUR_API worker_lost : public error {
public:
    worker_lost(std::string const& text, int pid, int signal, int exit_code)
        : error(text), pid_(pid), signal_(signal), exit_code_(exit_code) {}

    int pid() const noexcept { return pid_; }
    int signal() const noexcept { return signal_; }        ///< 0: no signal killed it
    int exit_code() const noexcept { return exit_code_; }  ///< -1: it did not exit by itself

private:
    int pid_;
    int signal_;
    int exit_code_;
};

#if CONCUR_RTTI

/// Where an exception comes from that was thrown in another process: it arrives as its own type and
/// as this one, so that both `catch (std::out_of_range&)` and origin_of() see it. What is thrown in
/// this process has none.
class CONCUR_API remote_origin {
public:
    remote_origin(std::string type_name, std::string message, int pid)
        : type_name_(std::move(type_name)), message_(std::move(message)), pid_(pid) {}
    virtual ~remote_origin() = default;

    std::string const& type_name() const noexcept { return type_name_; }  ///< demangled
    std::string const& message() const noexcept { return message_; }      ///< its what()
    int pid() const noexcept { return pid_; }                             ///< of the worker

protected:
    remote_origin(remote_origin const&) = default;
    remote_origin& operator=(remote_origin const&) = default;

private:
    std::string type_name_;
    std::string message_;
    int pid_;
};

/// The remote_origin of an exception; null when it was thrown in this process. Needs RTTI.
template <class E>
remote_origin const* origin_of(E const& exception) noexcept {
    return dynamic_cast<remote_origin const*>(&exception);
}

namespace detail {

/// An exception type that other processes may send: how one is made here from its text.
struct registered_exception {
    std::type_info const& type;
    std::exception_ptr (*make)(
        remote_origin const& origin);  // null: its state crosses by serialize
    registered_exception* next = nullptr;
};

/// The head of the list; entries live as long as the program. [registered] release and acquire.
CONCUR_API inline std::atomic<registered_exception*> registered_exceptions{nullptr};

/// What arrives: an E that knows where it comes from.
template <class E>
struct arrived final : E, remote_origin {
    explicit arrived(remote_origin const& origin)
        : E(std::string(origin.message())), remote_origin(origin) {}
};

template <class E>
std::exception_ptr make_arrived(remote_origin const& origin) {
    return std::make_exception_ptr(arrived<E>(origin));
}

template <class E>
registered_exception* enter_exception() {
    static registered_exception entry{typeid(E), nullptr};
    if constexpr (std::is_constructible_v<E, std::string>) entry.make = &make_arrived<E>;
    entry.next = registered_exceptions.load(std::memory_order_relaxed);  // [registered] CAS decides
    while (!registered_exceptions.compare_exchange_weak(
        entry.next, &entry, std::memory_order_acq_rel)) {  // [registered] entry before head
    }
    return &entry;
}

}  // namespace detail

/// Lets exceptions of type E cross process borders as themselves. Returns true, so that it can
/// initialise a variable at namespace scope. E is not final; its state crosses by a member
/// serialize, else through a constructor from std::string.
///
/// Threads   any; registering again does nothing.
template <class E>
bool register_exception() {
    static_assert(std::is_base_of_v<std::exception, E>,
                  "register_exception<E>(): E must derive from std::exception");
    static_assert(!std::is_final_v<E>,
                  "register_exception<E>(): E must not be final, for what "
                  "arrives derives from it");
    static detail::registered_exception const* const entry = detail::enter_exception<E>();
    return entry != nullptr;
}

#endif

/// The machine that ran the task is gone.
class CONCUR_API host_lost : public error {
public:
    using error::error;
};

}  // namespace concur::inline v0

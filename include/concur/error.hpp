// SPDX-License-Identifier: BSL-1.0
// Every exception that concur throws of its own; all derive from concur::error.
// Wrong options throw std::invalid_argument, misuse of a future std::future_error.
#pragma once

#include <stdexcept>
#include <string>
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

/// The machine that ran the task is gone.
class CONCUR_API host_lost : public error {
public:
    using error::error;
};

}  // namespace concur::inline v0

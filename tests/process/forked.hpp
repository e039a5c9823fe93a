// SPDX-License-Identifier: BSL-1.0
// A child of fork() that runs a function and is waited for, and an object in shared memory.
#pragma once

#include <concur/detail/ipc/segment.hpp>

#include <sys/wait.h>

#include <csignal>
#include <new>
#include <stdexcept>

namespace process {

/// The function's int is the exit code. The destructor kills it if need be.
class forked {
public:
    template <class Function>
    explicit forked(Function&& run) : pid_(fork()) {
        if (pid_ < 0) throw std::runtime_error("cannot fork");
        if (pid_ == 0) {
            // Not the test framework's handlers, which would report a failure.
            for (const int signal : {SIGINT, SIGTERM, SIGSEGV, SIGABRT})
                std::signal(signal, SIG_DFL);
            int code = 99;
            try {
                code = run();
            } catch (...) {  // ends with 99
            }
            _exit(code);
        }
    }
    ~forked() {
        if (pid_ > 0) {
            kill();
            wait();
        }
    }
    forked(const forked&) = delete;
    forked& operator=(const forked&) = delete;

    int pid() const { return pid_; }
    void kill() const { ::kill(pid_, SIGKILL); }
    /// As from waitpid().
    int wait() {
        int status = -1;
        waitpid(pid_, &status, 0);
        pid_ = -1;
        return status;
    }

private:
    pid_t pid_;
};

/// Ends a test that hangs: a watchdog without a thread, for ThreadSanitizer refuses threads in a
/// child of a process that has some.
class alarm_clock {
public:
    explicit alarm_clock(unsigned seconds = 60) { alarm(seconds); }
    ~alarm_clock() { alarm(0); }
    alarm_clock(const alarm_clock&) = delete;
    alarm_clock& operator=(const alarm_clock&) = delete;
};

/// Zeroed, for every process that is forked from here on.
template <class T>
class shared_object {
public:
    T& operator*() const { return *reinterpret_cast<T*>(memory_.data()); }
    T* operator->() const { return &**this; }

private:
    concur::detail::segment memory_ = concur::detail::segment::create(sizeof(T));
};

}  // namespace process

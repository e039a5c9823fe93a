// SPDX-License-Identifier: BSL-1.0
// A child of fork() that runs a function instruction by instruction, and is killed after some.
#pragma once

#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <stdexcept>

namespace process {

class stepped {
public:
    /// The child has run `prepare` and stands before `run` when this returns.
    template <class Prepare, class Run>
    stepped(Prepare&& prepare, Run&& run) : pid_(fork()) {
        if (pid_ < 0) throw std::runtime_error("cannot fork");
        if (pid_ == 0) {
            if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(1);
            prepare();
            ::kill(getpid(), SIGSTOP);
            run();
            ::kill(getpid(), SIGUSR1);  // the tracer sees it; the child never goes on
            _exit(0);
        }
        int status = 0;
        waitpid(pid_, &status, 0);
        if (WIFSTOPPED(status)) return;
        pid_ = -1;
        is_allowed() = false;
    }
    ~stepped() {
        if (pid_ < 0) return;
        ::kill(pid_, SIGKILL);
        int status = 0;
        while (waitpid(pid_, &status, 0) == pid_ && !WIFSIGNALED(status) && !WIFEXITED(status)) {
        }
    }
    stepped(const stepped&) = delete;
    stepped& operator=(const stepped&) = delete;

    /// It becomes a zombie.
    void kill() const {
        ::kill(pid_, SIGKILL);
        siginfo_t info{};
        waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
    }

    /// False: the function was over before.
    bool step(std::size_t steps) {
        for (std::size_t i = 0; i != steps; ++i) {
            int status = 0;
            if (ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr) != 0) return false;
            waitpid(pid_, &status, 0);
            if (!WIFSTOPPED(status) || WSTOPSIG(status) == SIGUSR1) return false;
        }
        return true;
    }

    /// Steps to the end of the function: how many it takes.
    std::size_t count() {
        std::size_t steps = 1;
        while (step(1)) ++steps;
        return steps;
    }

    /// False, known after the first: this system lets nobody trace a child.
    static bool allowed() { return is_allowed(); }

private:
    static bool& is_allowed() {
        static bool yes = true;
        return yes;
    }
    pid_t pid_;
};

}  // namespace process

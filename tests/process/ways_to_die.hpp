// SPDX-License-Identifier: BSL-1.0
// All the ways in which a task may go wrong.
#pragma once

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <exception>
#include <stdexcept>

namespace process {

enum class way {
    throws,
    throws_int,
    exits,
    exits_at_once,
    aborts,
    segfaults,
    overflows,
    is_killed,
    divides,
    terminates
};

inline constexpr way ways[] = {way::throws,  way::throws_int, way::exits,     way::exits_at_once,
                               way::aborts,  way::segfaults,  way::overflows, way::is_killed,
                               way::divides, way::terminates};

inline const char* name_of(way how) {
    constexpr const char* names[] = {"throw",   "throw 42",   "exit(0)",        "_exit(42)",
                                     "abort()", "SIGSEGV",    "stack overflow", "SIGKILL",
                                     "SIGFPE",  "terminate()"};
    return names[static_cast<int>(how)];
}

/// How the process ends: the signal, or 0; the exit code, or -1.
inline int signal_of(way how) {
    constexpr int signals[] = {0, 0, 0, 0, SIGABRT, SIGSEGV, SIGSEGV, SIGKILL, SIGFPE, SIGABRT};
    return signals[static_cast<int>(how)];
}
inline int exit_code_of(way how) {
    return how == way::exits ? 0 : how == way::exits_at_once ? 42 : -1;
}

// Not instrumented: sanitizers would report what is meant.
#define PROCESS_WILD __attribute__((no_sanitize("undefined", "address", "thread"), noinline))

inline volatile bool recursion_ends = false;

PROCESS_WILD inline int recurse(volatile char* before) {
    volatile char room[4096];
    room[0] = *before;
    if (recursion_ends) return 0;
    return recurse(room) + room[0];
}

PROCESS_WILD inline void die(way how) {
    if (how == way::throws) throw std::out_of_range("thrown");
    if (how == way::throws_int) throw 42;
    // Sanitizers handle these signals, and then exit.
    for (const int signal : {SIGSEGV, SIGFPE, SIGABRT}) std::signal(signal, SIG_DFL);
    volatile char letter = 'x';
    volatile int zero = 0;
    volatile int* volatile nowhere = nullptr;
    switch (how) {
        case way::exits:
            std::exit(0);
        case way::exits_at_once:
            _exit(42);
        case way::aborts:
            std::abort();
        case way::segfaults:
            *nowhere = 1;
            break;
        case way::overflows:
            zero = recurse(&letter);
            break;
        case way::is_killed:
            kill(getpid(), SIGKILL);
            break;
        case way::divides:
            zero = 1 / zero;
            std::raise(SIGFPE);  // where that is no error
            break;
        default:
            std::terminate();
    }
}

}  // namespace process

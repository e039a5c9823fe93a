// SPDX-License-Identifier: BSL-1.0
// A program whose pools are in a shared library.
//
//   HOST_LINKED   with the hook, linked with the library       all methods work
//   HOST_PLUGIN   with the hook, the library is loaded later   all methods work
//   HOST_BARE     without the hook                             refused by name; fork works
//   HOST_LIAR     says that it has the hook, but has none      the copy runs main: refused there
//   HOST_BLOCKED  its copies hang in a static initialiser      refused when the patience ends
#include <dlfcn.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#if defined(HOST_LINKED) || defined(HOST_PLUGIN) || defined(HOST_BLOCKED)
#include <concur/detail/ipc/nursery.hpp>
#elif defined(HOST_LIAR)
asm(".pushsection .note.concur,\"a\",%note\n"
    "  .balign 4\n"
    "  .long 7, 4, 1\n"
    "  .asciz \"concur\"\n"
    "  .balign 4\n"
    "  .long 1\n"
    ".popsection\n");
#endif

extern "C" int run_in_library(int method, int patience_ms, char* text);

namespace {

enum { forkserver, fork_method, spawn };

#if defined(HOST_BLOCKED)
// (The hook may come first in this file and has then unset CONCUR_WORKER_ENTRY already.)
[[maybe_unused]] const bool blocked = [] {
    if (std::getenv("CONCUR_DEPTH")) pause();
    return true;
}();
#endif

int failures = 0;
decltype(&run_in_library) run = nullptr;

/// `refusal` is in the text of the exception; null: it works.
void expect(int method, const char* refusal, int patience_ms = 5000) {
    char text[1000] = {};
    const auto start = std::chrono::steady_clock::now();
    const int result = run(method, patience_ms, text);
    const auto took = std::chrono::steady_clock::now() - start;
    const bool good = refusal ? result == -1 && std::strstr(text, refusal) : result == 42;
    if (good && took < std::chrono::seconds(5)) return;
    std::printf("wrong: method %d gives %d \"%s\"\n", method, result, text);
    ++failures;
}

}  // namespace

int main(int count, char** arguments) {
    if (std::getenv("CONCUR_WORKER_ENTRY") && std::getenv("CONCUR_TEST_COPY")) {
        std::puts("a copy of a copy runs main");
        return 99;
    }
#if defined(HOST_PLUGIN)
    if (count != 2) return 1;
    void* const library = dlopen(arguments[1], RTLD_NOW);
    if (!library) return std::puts(dlerror()), 1;
    run = reinterpret_cast<decltype(run)>(dlsym(library, "run_in_library"));
#else
    static_cast<void>(count), static_cast<void>(arguments);
    run = &run_in_library;
#endif
#if defined(HOST_BARE)
    expect(forkserver, "start_method::fork");
    expect(spawn, "process_pool.hpp");
#elif defined(HOST_LIAR)
    if (std::getenv("CONCUR_WORKER_ENTRY")) {
        // In the copy: pools refuse, so nothing is started from here.
        setenv("CONCUR_TEST_COPY", "1", 1);
        expect(forkserver, "becomes a worker");
        expect(fork_method, "becomes a worker");
        return failures == 0 ? 44 : 1;
    }
    expect(forkserver, "exit code 44");
#elif defined(HOST_BLOCKED)
    expect(forkserver, "did not answer within 0.2 s", 200);
#else
    expect(forkserver, nullptr);
    expect(spawn, nullptr);
#endif
    expect(fork_method, nullptr);
    return failures;
}

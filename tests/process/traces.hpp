// SPDX-License-Identifier: BSL-1.0
// What a process holds and has started, to be compared before and after a test.
#pragma once

#include "proc_tree.hpp"

#include "../conformance/tools.hpp"
#include "../conformance/watchdog.hpp"

#include <concur/process_pool.hpp>

#include <doctest/doctest.h>

#include <sys/resource.h>

#include <chrono>
#include <string>

namespace process {

struct traces {
    std::size_t files = 0, threads = 0, processes = 0, names = 0;

    static traces now() {
        return {entries_of("/proc/self/fd"), entries_of("/proc/self/task"),
                descendants_of(getpid()).size(), entries_of("/dev/shm")};
    }
    bool operator==(const traces&) const = default;
};

/// Around a test: limits its time, and checks that it leaves nothing behind. One idle fork server
/// with its two descriptors may live: it is started before, so that it is there on both sides.
class nothing_left {
public:
    explicit nothing_left(std::chrono::seconds limit = std::chrono::seconds(60))
        : guard_("the end of the test", limit) {
        const rlimit no_dumps{0, 0};
        setrlimit(RLIMIT_CORE, &no_dumps);
        concur::process_pool(1).submit([] {}).get();
        settle();
        before_ = traces::now();
    }
    ~nothing_left() {
        // A fork server that was killed and never needed again would be missing.
        if (std::uncaught_exceptions() == 0) concur::process_pool(1).submit([] {}).get();
        const bool same = conformance::holds_within(std::chrono::seconds(10),
                                                    [&] { return traces::now() == before_; });
        const auto after = traces::now();
        if (!same) {
            CHECK(after.files == before_.files);
            CHECK(after.threads == before_.threads);
            CHECK(after.processes == before_.processes);
            CHECK(after.names == before_.names);
            for (const int pid : descendants_of(getpid()))
                MESSAGE(pid << " of " << parent_of(pid) << ": "
                            << file_content("/proc/" + std::to_string(pid) + "/stat"));
        }
    }
    nothing_left(const nothing_left&) = delete;
    nothing_left& operator=(const nothing_left&) = delete;

private:
    /// Until what the pool above has left is gone.
    static void settle() {
        conformance::holds_within(std::chrono::seconds(10),
                                  [] { return descendants_of(getpid()).size() == 1; });
    }

    conformance::watchdog guard_;
    traces before_;
};

inline constexpr concur::start_method start_methods[] = {
    concur::start_method::forkserver, concur::start_method::fork, concur::start_method::spawn};

inline const char* name_of(concur::start_method method) {
    return method == concur::start_method::forkserver ? "forkserver"
           : method == concur::start_method::fork     ? "fork"
                                                      : "spawn";
}

}  // namespace process

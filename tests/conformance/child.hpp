// SPDX-License-Identifier: BSL-1.0
// Runs one hidden test of this very executable in a process of its own.
#pragma once

#include <doctest/doctest.h>

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace conformance {

struct child_result {
    int status = -1;     ///< as from waitpid
    std::string output;  ///< stdout and stderr
    bool ended_well() const { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }
};

/// An environment variable for the child; null removes it.
using variable = std::pair<const char*, const char*>;

/// Runs the test `name`, which is marked doctest::skip(), with these variables set.
inline child_result run_in_child(const char* name, const std::vector<variable>& variables = {}) {
    int ends[2];
    if (pipe(ends) != 0) return {};
    const std::string filter = std::string("--test-case=") + name;
    const pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        for (const auto& [key, value] : variables)
            value == nullptr ? unsetenv(key) : setenv(key, value, 1);
        execl("/proc/self/exe", "child", "--no-skip", "--no-intro=true", filter.c_str(),
              static_cast<char*>(nullptr));
        _exit(127);
    }
    close(ends[1]);
    child_result result;
    char buffer[4096];
    for (ssize_t n = 0; (n = read(ends[0], buffer, sizeof buffer)) > 0;)
        result.output.append(buffer, static_cast<std::size_t>(n));
    close(ends[0]);
    waitpid(pid, &result.status, 0);
    return result;
}

}  // namespace conformance

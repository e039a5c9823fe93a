// SPDX-License-Identifier: BSL-1.0
// Gates and journals that tasks in any process can use, by the path of a file: their handles are
// plain bytes, which a lambda may capture and which cross process borders.
#pragma once

#include "tools.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace conformance {

/// The path of a file, as plain bytes.
using file_path = std::array<char, 40>;

/// A name in /tmp that nobody else uses, for as long as this lives. `pipe`: a named pipe.
class scratch_file {
public:
    explicit scratch_file(bool pipe = false) {
        const int file = mkstemp(path_.data());
        if (file < 0) throw std::runtime_error("no file for the test");
        close(file);
        if (!pipe) return;
        unlink(path_.data());
        if (mkfifo(path_.data(), 0600) != 0) throw std::runtime_error("no pipe for the test");
    }
    ~scratch_file() { unlink(path_.data()); }
    scratch_file(const scratch_file&) = delete;
    scratch_file& operator=(const scratch_file&) = delete;

    const file_path& path() const { return path_; }

private:
    file_path path_ = [] {
        file_path path{};
        std::snprintf(path.data(), path.size(), "/tmp/concur-test-XXXXXX");
        return path;
    }();
};

/// How a task waits for a far_gate.
// A named pipe cannot be opened for reading before somebody opens it for writing: the kernel counts
// who comes, so no waiter misses the one who opens, in whatever process it is.
struct door {
    file_path path;

    /// Also when the gate is gone.
    void wait() const {
        int pipe;
        while ((pipe = open(path.data(), O_RDONLY | O_CLOEXEC)) < 0 && errno == EINTR) {
        }
        if (pipe >= 0) close(pipe);
    }
};

/// A door that opens once, for tasks of all processes. It opens at the end of its life at the
/// latest, so that a failed REQUIRE does not leave tasks waiting.
class far_gate {
public:
    far_gate() = default;
    ~far_gate() {
        open();
        unlink(file_.path().data());
        close(writer_);
    }
    far_gate(const far_gate&) = delete;
    far_gate& operator=(const far_gate&) = delete;

    void open() {
        if (writer_ < 0) writer_ = ::open(file_.path().data(), O_RDWR | O_CLOEXEC);
        // Who waits goes on, and who comes later while this end is open.
    }
    door entrance() const { return {file_.path()}; }

private:
    scratch_file file_{true};
    int writer_ = -1;
};

/// How a task writes to a far_journal: whole lines, also when several write and are killed.
struct pen {
    file_path path;

    void note(long entry) const {
        const int file = open(path.data(), O_WRONLY | O_APPEND | O_CLOEXEC);
        char line[24];
        const int length = std::snprintf(line, sizeof line, "%ld\n", entry);
        if (file < 0 || write(file, line, static_cast<std::size_t>(length)) < 0) std::abort();
        close(file);
    }
};

/// A list that tasks of any process append to, in the order in which they run.
class far_journal {
public:
    pen writer() const { return {file_.path()}; }
    void note(long entry) const { writer().note(entry); }
    std::vector<int> entries() const {
        std::ifstream file(file_.path().data());
        std::vector<int> all;
        for (int entry = 0; file >> entry;) all.push_back(entry);
        return all;
    }
    std::size_t size() const { return entries().size(); }
    std::size_t count(int wanted) const {
        std::size_t n = 0;
        for (const int entry : entries()) n += entry == wanted;
        return n;
    }

private:
    scratch_file file_;
};

/// Keeps every worker of an asynchronous executor busy until release(), in whatever process they
/// are: what is submitted meanwhile stays pending.
template <class Executor>
class far_blocker {
public:
    explicit far_blocker(Executor& executor) {
        const auto workers = executor.worker_count();
        for (std::size_t i = 0; i != workers; ++i)
            tasks_.push_back(
                executor.submit([started = started_.writer(), entrance = gate_.entrance()] {
                    started.note(1);
                    entrance.wait();
                }));
        eventually([&] { return started_.size() == workers; });
    }
    ~far_blocker() { release(); }
    far_blocker(const far_blocker&) = delete;
    far_blocker& operator=(const far_blocker&) = delete;

    void release() {
        gate_.open();
        for (auto& task : tasks_) task.wait();
    }

private:
    far_journal started_;
    far_gate gate_;
    std::vector<concur::future<void>> tasks_;
};

}  // namespace conformance

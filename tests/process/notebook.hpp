// SPDX-License-Identifier: BSL-1.0
// A file to which tasks in any process append numbers: what has run, how often, in which order.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace process {

/// Whole lines, also when several processes write and are killed.
inline void note(const std::string& path, long number) {
    const int file = open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    const auto line = std::to_string(number) + "\n";
    if (file < 0 || write(file, line.data(), line.size()) < 0) std::abort();
    close(file);
}

class notebook {
public:
    notebook() {
        const int file = mkstemp(path_.data());
        if (file < 0) throw std::runtime_error("no file for the test's notes");
        close(file);
    }
    ~notebook() { unlink(path_.c_str()); }
    notebook(const notebook&) = delete;
    notebook& operator=(const notebook&) = delete;

    const std::string& path() const { return path_; }
    std::vector<long> notes() const {
        std::ifstream file(path_);
        std::vector<long> all;
        for (long number = 0; file >> number;) all.push_back(number);
        return all;
    }
    std::size_t count(long number) const {
        std::size_t n = 0;
        for (const long one : notes()) n += one == number;
        return n;
    }

private:
    std::string path_ = "/tmp/concur-test-XXXXXX";
};

}  // namespace process

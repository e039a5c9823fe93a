// SPDX-License-Identifier: BSL-1.0
// In a container with little memory: a task that takes too much is lost alone, and a shared array
// that would not fit is refused. Needs a memory cgroup that we may make; says so where it cannot.
#include "../conformance/child.hpp"
#include "traces.hpp"

#include <concur/process_pool.hpp>
#include <concur/shared_array.hpp>

#include <doctest/doctest.h>

#include <sys/stat.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

using namespace process;

namespace {

constexpr std::size_t limit = std::size_t{128} << 20;
constexpr char group_variable[] = "CONCUR_TEST_CGROUP";

/// The folder of this process's own memory cgroup, and the name of its file with the limit.
struct place {
    std::string folder;
    const char* file;
};

place own_group() {
    std::ifstream groups("/proc/self/cgroup");
    place found;
    for (std::string line; std::getline(groups, line);) {
        const auto path = line.substr(line.find(':', line.find(':') + 1) + 1);
        if (line.find(":memory:") != line.npos)
            return {"/sys/fs/cgroup/memory" + path, "memory.limit_in_bytes"};
        if (line.starts_with("0::")) found = {"/sys/fs/cgroup" + path, "memory.max"};
    }
    return found;
}

bool write_to(const std::string& file, const std::string& text) {
    std::ofstream out(file);
    out << text << std::flush;
    return out.good();
}

/// A group below ours with little memory; empty where none can be made.
class small_group {
public:
    small_group() {
        const auto [folder, file] = own_group();
        if (folder.empty()) return;
        const auto path = folder + "/concur-test-" + std::to_string(getpid());
        if (mkdir(path.c_str(), 0700) != 0) return;
        if (write_to(path + "/" + file, std::to_string(limit))) {
            path_ = path;
        } else {
            rmdir(path.c_str());
        }
    }
    small_group(const small_group&) = delete;
    small_group& operator=(const small_group&) = delete;
    ~small_group() {
        // What was killed in it may not have gone yet.
        for (int i = 0; !path_.empty() && rmdir(path_.c_str()) != 0 && i != 1000; ++i) usleep(1000);
    }
    const std::string& path() const { return path_; }

private:
    std::string path_;
};

std::size_t take(std::size_t bytes) {
    std::vector<char> memory(bytes);
    std::memset(memory.data(), 1, bytes);
    return memory.size();
}

}  // namespace

TEST_CASE(
    "memory cgroup: a worker that the kernel kills is lost alone; no array beyond the limit") {
    const small_group group;
    if (group.path().empty()) {
        MESSAGE("skipped: no memory cgroup can be made here");
        return;
    }
    const auto child = conformance::run_in_child("child: in a small memory cgroup",
                                                 {{group_variable, group.path().c_str()}});
    CHECK_MESSAGE(child.ended_well(), child.output);
}

TEST_CASE("child: in a small memory cgroup" * doctest::skip()) {
    const std::string group = std::getenv(group_variable);
    REQUIRE(write_to(group + "/cgroup.procs", std::to_string(getpid())));
    concur::process_pool pool(2);
    for (int round = 0; round != 3; ++round) {
        auto large = pool.submit(take, 3 * limit);
        auto small = pool.submit(take, std::size_t{1000});
        CHECK(small.get() == 1000);
        try {
            large.get();
            FAIL("more memory than there is");
        } catch (const concur::worker_lost& lost) {
            CHECK(lost.signal() == SIGKILL);
        }
    }
    CHECK(pool.stats().workers_lost == 3);
    try {
        const concur::shared_array<char> array(8 * limit);
        FAIL("a shared array that does not fit");
    } catch (const std::system_error& refused) {
        const std::string text = refused.what();
        CAPTURE(text);
        CHECK(text.find("cgroup") != text.npos);
        CHECK(text.find("are missing") != text.npos);
    }
    concur::shared_array<int> fits(1000);
    fits[999] = 7;
    CHECK(pool.submit([](const concur::shared_array<int>& a) { return a[999]; }, fits).get() == 7);
}

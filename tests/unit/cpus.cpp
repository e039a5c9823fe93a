// SPDX-License-Identifier: BSL-1.0
// How many CPUs a process may use, from the texts that the kernel shows.
#include <concur/detail/base/cpus.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

using concur::detail::cpus_of_cgroups;
using concur::detail::cpus_of_quota;

namespace {

using cpus = std::size_t;

/// A folder that looks like /sys/fs/cgroup, for the length of a test.
class cgroup_tree {
public:
    cgroup_tree() {
        auto name = (std::filesystem::temp_directory_path() / "concur-cpus-XXXXXX").string();
        REQUIRE(mkdtemp(name.data()) != nullptr);
        root_ = name;
    }
    ~cgroup_tree() {
        std::error_code ignored;
        std::filesystem::remove_all(root_, ignored);
    }
    cgroup_tree(const cgroup_tree&) = delete;
    cgroup_tree& operator=(const cgroup_tree&) = delete;

    void write(const std::string& file, const std::string& text) const {
        const auto path = root_ / file;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path) << text;
    }
    std::string root() const { return root_.string(); }

private:
    std::filesystem::path root_;
};

}  // namespace

TEST_CASE("cpus_of_quota: quota by period, rounded up") {
    CHECK(cpus_of_quota("200000 100000") == cpus(2));
    CHECK(cpus_of_quota("200001 100000\n") == cpus(3));
    CHECK(cpus_of_quota("50000 100000\n") == cpus(1));
    CHECK(cpus_of_quota("1 100000") == cpus(1));
    CHECK(cpus_of_quota("100000 100000") == cpus(1));
    CHECK(cpus_of_quota("9223372036854775807 1") == cpus(9223372036854775807));
}

TEST_CASE("cpus_of_quota: no limit, or nothing that makes sense, is 0") {
    for (const auto* text :
         {"max 100000\n", "-1 100000", "", "\n", " ", "100000", "0 100000", "100000 0", "100000 -5",
          "1e5 100000", "100000 100000x", "a b", "100000  100000 7"}) {
        CAPTURE(text);
        CHECK(cpus_of_quota(text) == 0);
    }
}

TEST_CASE("cpus_of_cgroups: v2, the least limit on the way to the root holds") {
    const cgroup_tree tree;
    tree.write("a/b/c/cpu.max", "400000 100000\n");
    CHECK(cpus_of_cgroups("0::/a/b/c\n", tree.root()) == cpus(4));
    tree.write("a/b/cpu.max", "max 100000\n");
    CHECK(cpus_of_cgroups("0::/a/b/c\n", tree.root()) == cpus(4));
    tree.write("a/cpu.max", "150000 100000\n");
    CHECK(cpus_of_cgroups("0::/a/b/c\n", tree.root()) == cpus(2));
    CHECK(cpus_of_cgroups("0::/a/b\n", tree.root()) == cpus(2));
    tree.write("cpu.max", "50000 100000\n");
    CHECK(cpus_of_cgroups("0::/a/b/c\n", tree.root()) == cpus(1));
    CHECK(cpus_of_cgroups("0::/\n", tree.root()) == cpus(1));
    CHECK(cpus_of_cgroups("0::/elsewhere\n", tree.root()) == cpus(1));
}

TEST_CASE("cpus_of_cgroups: half a CPU is one") {
    const cgroup_tree tree;
    tree.write("half/cpu.max", "50000 100000\n");
    CHECK(cpus_of_cgroups("0::/half", tree.root()) == cpus(1));
}

TEST_CASE("cpus_of_cgroups: v1, as the kernel writes the files") {
    const cgroup_tree tree;
    tree.write("cpu/docker/x/cpu.cfs_quota_us", "250000\n");
    tree.write("cpu/docker/x/cpu.cfs_period_us", "100000\n");
    const std::string self =
        "12:memory:/docker/x\n5:cpu,cpuacct:/docker/x\n1:name=systemd:/docker/x\n";
    CHECK(cpus_of_cgroups(self, tree.root()) == cpus(3));
    tree.write("cpu/docker/cpu.cfs_quota_us", "-1\n");
    tree.write("cpu/docker/cpu.cfs_period_us", "100000\n");
    CHECK(cpus_of_cgroups(self, tree.root()) == cpus(3));
    tree.write("cpu/cpu.cfs_quota_us", "100000\n");
    tree.write("cpu/cpu.cfs_period_us", "100000\n");
    CHECK(cpus_of_cgroups(self, tree.root()) == cpus(1));
}

TEST_CASE("cpus_of_cgroups: controllers with cpu in their name are other controllers") {
    const cgroup_tree tree;
    tree.write("cpu/x/cpu.cfs_quota_us", "100000\n");
    tree.write("cpu/x/cpu.cfs_period_us", "100000\n");
    CHECK(cpus_of_cgroups("3:cpuset:/x\n4:cpuacct:/x\n", tree.root()) == 0);
    CHECK(cpus_of_cgroups("3:cpuacct,cpu:/x\n", tree.root()) == cpus(1));
}

TEST_CASE("cpus_of_cgroups: v1 and v2 side by side, the smaller limit holds") {
    const cgroup_tree tree;
    tree.write("cpu/x/cpu.cfs_quota_us", "300000\n");
    tree.write("cpu/x/cpu.cfs_period_us", "100000\n");
    tree.write("x/cpu.max", "200000 100000\n");
    CHECK(cpus_of_cgroups("4:cpu:/x\n0::/x\n", tree.root()) == cpus(2));
}

TEST_CASE("cpus_of_cgroups: missing files and malformed lines are ignored") {
    const cgroup_tree tree;
    tree.write("a/cpu.max", "rubbish\n");
    for (const auto* text : {"", "\n\n", "0::/a\n", "0::/none/here\n", "no colon\n",
                             "0:one colon\n", "0::\n", ":::\n"}) {
        CAPTURE(text);
        CHECK(cpus_of_cgroups(text, tree.root()) == 0);
    }
    tree.write("b/cpu.max", "200000 100000\n");
    CHECK(cpus_of_cgroups("rubbish\n0::/b\n", tree.root()) == cpus(2));
    CHECK(cpus_of_cgroups("0::/b", tree.root() + "/nowhere") == 0);
}

// SPDX-License-Identifier: BSL-1.0
// How many CPUs this process may really use: CONCUR_WORKERS, else the affinity mask, cut down by
// the CPU quota of its cgroup (containers), at least 1. Reads a few small files; call it once.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <concur/detail/base/config.hpp>
#include <concur/detail/base/linux.hpp>

namespace concur::inline v0::detail {

/// CPUs granted by "quota period" (cgroup v2's cpu.max, or both v1 files joined by a space),
/// rounded up. 0 when unlimited ("max", "-1") or malformed.
[[gnu::cold]] inline std::size_t cpus_of_quota(char const* text) noexcept {
    long long quota = 0, period = 0;
    int read = 0;
    int const found = std::sscanf(text, "%lld %lld %n", &quota, &period, &read);
    if (found != 2 || text[read] != '\0' || quota <= 0 || period <= 0) return 0;
    return static_cast<std::size_t>((quota - 1) / period + 1);
}

/// Appends the text of a small file; nothing when it cannot be read.
[[gnu::cold]] inline void append_file(std::string& text, std::string const& path) {
    if (std::FILE* const file = std::fopen(path.c_str(), "re")) {
        char part[512];
        while (auto const got = std::fread(part, 1, sizeof part, file)) text.append(part, got);
        std::fclose(file);
    }
}

/// Calls visit(folder, is_v2) for the cgroup of this process that has this controller, and for
/// those around it up to the root: a limit on any level holds. `cgroups` is the text of
/// /proc/self/cgroup
/// ("id:controllers:path" a line), `root` where the hierarchies are mounted.
template <class Visit>
[[gnu::cold]] void each_cgroup(std::string_view cgroups, std::string const& root,
                               std::string const& controller, Visit visit) {
    while (!cgroups.empty()) {
        auto const line = cgroups.substr(0, cgroups.find('\n'));
        cgroups.remove_prefix(line.size() + (line.size() < cgroups.size() ? 1 : 0));
        auto const first = line.find(':');
        auto const second = line.find(':', first + 1);
        if (first == line.npos || second == line.npos) continue;
        std::string controllers(1, ',');
        controllers.append(line.substr(first + 1, second - first - 1)).push_back(',');
        bool const v2 = controllers == ",,";
        if (!v2 && controllers.find("," + controller + ",") == controllers.npos) continue;
        std::string folder(root);
        if (!v2) folder.append("/" + controller);
        auto const shortest = folder.size();
        folder.append(line.substr(second + 1));
        for (;;) {
            visit(std::as_const(folder), v2);
            auto const slash = folder.rfind('/');
            if (folder.size() <= shortest || slash == folder.npos || slash < shortest) break;
            folder.resize(slash);
        }
    }
}

/// The smallest quota of these cgroups; 0 for none.
[[gnu::cold]] inline std::size_t cpus_of_cgroups(std::string_view cgroups,
                                                 std::string const& root) {
    std::size_t least = 0;
    each_cgroup(cgroups, root, "cpu", [&](std::string const& folder, bool v2) {
        std::string quota;
        if (v2) {
            append_file(quota, folder + "/cpu.max");
        } else {
            append_file(quota, folder + "/cpu.cfs_quota_us");
            append_file(quota, folder + "/cpu.cfs_period_us");
        }
        auto const cpus = cpus_of_quota(quota.c_str());
        if (cpus != 0 && (least == 0 || cpus < least)) least = cpus;
    });
    return least;
}

/// CONCUR_WORKERS; 0 when it is not set or, with one line on stderr, no number above 0.
[[gnu::cold]] inline std::size_t cpus_from_environment() noexcept {
    char const* const text = std::getenv("CONCUR_WORKERS");
    if (!text) return 0;
    long long value = 0;
    int read = 0;
    errno = 0;
    bool const digit = text[0] >= '0' && text[0] <= '9';
    if (digit && std::sscanf(text, "%lld%n", &value, &read) == 1 && text[read] == '\0' &&
        errno == 0 && value > 0) {
        return static_cast<std::size_t>(value);
    }
    static std::atomic<bool> said{false};
    if (said.exchange(true)) return 0;
    std::fprintf(stderr, "concur: CONCUR_WORKERS=%s ignored: it must be a whole number above 0\n",
                 text);
    return 0;
}

}  // namespace concur::inline v0::detail

namespace concur::inline v0 {

/// The number of workers that an executor gets when none is asked for: CONCUR_WORKERS if it is a
/// number above 0 (anything else is ignored, with a line on stderr), else the CPUs in the affinity
/// mask, at most the cgroup's CPU quota rounded up, at least 1.
///
/// Threads   any.
/// Cost      a few small files of /proc and /sys are read each time.
[[gnu::cold]] inline std::size_t usable_cpus() {
    if (auto const wanted = detail::cpus_from_environment()) return wanted;
    std::size_t cpus = detail::cpus_in_affinity();
    if (cpus == 0) cpus = std::thread::hardware_concurrency();
    std::string cgroups;
    detail::append_file(cgroups, "/proc/self/cgroup");
    auto const quota = detail::cpus_of_cgroups(cgroups, "/sys/fs/cgroup");
    if (quota != 0 && quota < cpus) cpus = quota;
    return cpus != 0 ? cpus : 1;
}

}  // namespace concur::inline v0

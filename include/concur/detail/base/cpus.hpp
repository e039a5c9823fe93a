// SPDX-License-Identifier: BSL-1.0
// How many CPUs this process may really use: CONCUR_WORKERS, else the affinity mask, cut down by
// the CPU quota of its cgroup (containers), at least 1. Reads a few small files; call it once.
#pragma once

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include <concur/detail/base/config.hpp>
#include <concur/detail/base/linux.hpp>

namespace concur::inline v0::detail {

/// The whole text as a decimal number, or nothing.
inline std::optional<long long> to_number(std::string const& text) noexcept {
    char* end = nullptr;
    errno = 0;
    long long const value = std::strtoll(text.c_str(), &end, 10);
    bool const digits = !text.empty() && (text[0] == '-' || (text[0] >= '0' && text[0] <= '9'));
    if (!digits || errno != 0 || *end != '\0') return std::nullopt;
    return value;
}

/// CPUs granted by "quota period" (cgroup v2's cpu.max, or both v1 files joined by a space),
/// rounded up. Nothing when unlimited ("max", "-1") or malformed.
inline std::optional<std::size_t> cpus_of_quota(std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    auto const gap = text.find(' ');
    if (gap == text.npos) return std::nullopt;
    auto const quota = to_number(text.substr(0, gap));
    auto const period = to_number(text.substr(gap + 1));
    if (!quota || !period || *quota <= 0 || *period <= 0) return std::nullopt;
    return static_cast<std::size_t>((*quota - 1) / *period + 1);
}

inline std::string read_small_file(std::string const& path) {
    std::string text;
    if (std::FILE* const file = std::fopen(path.c_str(), "re")) {
        char part[512];
        while (auto const got = std::fread(part, 1, sizeof part, file)) text.append(part, got);
        std::fclose(file);
    }
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
}

/// The smallest quota on the way from this process's cgroup up to the root: a limit on any level
/// holds. `cgroups` is the text of /proc/self/cgroup, `root` where the hierarchies are mounted.
inline std::optional<std::size_t> cpus_of_cgroups(std::string_view cgroups,
                                                  std::string const& root) {
    std::optional<std::size_t> least;
    auto const consider = [&least](std::optional<std::size_t> cpus) {
        if (cpus) least = std::min(*cpus, least.value_or(*cpus));
    };
    while (!cgroups.empty()) {
        auto const line = cgroups.substr(0, cgroups.find('\n'));
        cgroups.remove_prefix(std::min(cgroups.size(), line.size() + 1));
        auto const first = line.find(':');
        auto const second = first == line.npos ? line.npos : line.find(':', first + 1);
        if (second == line.npos) continue;
        auto const controllers = "," + std::string(line.substr(first + 1, second - first - 1)) + ",";
        bool const v2 = controllers == ",,";
        if (!v2 && controllers.find(",cpu,") == controllers.npos) continue;
        auto const base = v2 ? root : root + "/cpu";
        for (std::string level(line.substr(second + 1));;) {
            auto const folder = base + (level == "/" ? std::string() : level);
            consider(cpus_of_quota(v2 ? read_small_file(folder + "/cpu.max")
                                      : read_small_file(folder + "/cpu.cfs_quota_us") + " " +
                                            read_small_file(folder + "/cpu.cfs_period_us")));
            auto const slash = level.rfind('/');
            if (level.empty() || level == "/" || slash == level.npos) break;
            level.resize(slash);
        }
    }
    return least;
}

inline std::optional<std::size_t> cpus_from_environment() {
    char const* const text = std::getenv("CONCUR_WORKERS");
    if (!text) return std::nullopt;
    auto const value = to_number(text);
    if (value && *value > 0) return static_cast<std::size_t>(*value);
    std::fprintf(stderr, "concur: CONCUR_WORKERS=%s ignored: it must be a whole number above 0\n",
                 text);
    return std::nullopt;
}

}  // namespace concur::inline v0::detail

namespace concur::inline v0 {

/// The number of workers that an executor gets when none is asked for: CONCUR_WORKERS if it is a
/// number above 0 (anything else is ignored, with a line on stderr), else the CPUs in the affinity
/// mask, at most the cgroup's CPU quota rounded up, at least 1.
///
/// Threads   any.
/// Cost      a few small files of /proc and /sys are read each time.
inline std::size_t usable_cpus() {
    if (auto const wanted = detail::cpus_from_environment()) return *wanted;
    std::size_t cpus = detail::cpus_in_affinity();
    if (cpus == 0) cpus = std::thread::hardware_concurrency();
    auto const quota =
        detail::cpus_of_cgroups(detail::read_small_file("/proc/self/cgroup"), "/sys/fs/cgroup");
    if (quota) cpus = std::min(cpus, *quota);
    return std::max<std::size_t>(cpus, 1);
}

}  // namespace concur::inline v0

// SPDX-License-Identifier: BSL-1.0
// How much memory can be had here, before a program is killed for touching more: what the machine
// has left, what the cgroup's limit leaves. Says what was asked for, and what is missing.
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <concur/detail/base/cpus.hpp>
#include <concur/detail/base/text.hpp>
#include <concur/detail/ipc/segment.hpp>

namespace concur::inline v0::detail {

inline constexpr std::uint64_t no_limit = UINT64_MAX;

/// The number behind `name` at the beginning of a line; `otherwise` when there is none.
[[gnu::cold]] inline std::uint64_t number_behind(std::string_view text, std::string_view name,
                                                 std::uint64_t otherwise) {
    for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
        if (text.substr(at, name.size()) == name) {
            auto const* const digits = text.data() + at + name.size();
            char* end = nullptr;
            auto const number = std::strtoull(digits, &end, 10);
            return end != digits ? number : otherwise;
        }
        if (text.find('\n', at) == text.npos) break;
    }
    return otherwise;
}

/// What the limits of a memory cgroup and of those around it leave. File pages count as free: the
/// kernel takes them back.
[[gnu::cold]] inline std::uint64_t room_in_cgroups(std::string_view cgroups,
                                                   std::string const& root) {
    auto least = no_limit;
    each_cgroup(cgroups, root, "memory", [&](std::string const& folder, bool v2) {
        std::string limit, used, parts;
        append_file(limit, folder + (v2 ? "/memory.max" : "/memory.limit_in_bytes"));
        append_file(used, folder + (v2 ? "/memory.current" : "/memory.usage_in_bytes"));
        append_file(parts, folder + "/memory.stat");
        auto const most = number_behind(limit, "", no_limit);
        auto const reclaimable =
            number_behind(parts, v2 ? "inactive_file " : "total_inactive_file ", 0) +
            number_behind(parts, v2 ? "active_file " : "total_active_file ", 0);
        auto const taken = number_behind(used, "", 0);
        auto const held = taken > reclaimable ? taken - reclaimable : 0;
        if (most != no_limit) least = std::min(least, most > held ? most - held : 0);
    });
    return least;
}

/// Bytes that can be had, and what says so.
struct room_left {
    std::uint64_t bytes;
    char const* whose;
};

/// Cost: a few small files of /proc and /sys, some 50 us.
[[gnu::cold]] inline room_left find_room() {
    std::string machine, cgroups;
    append_file(machine, "/proc/meminfo");
    auto room = number_behind(machine, "MemAvailable:", no_limit / 4096);
    room = (room + number_behind(machine, "SwapFree:", 0)) * 1024;
    append_file(cgroups, "/proc/self/cgroup");
    auto const group = room_in_cgroups(cgroups, "/sys/fs/cgroup");
    if (group < room) return {group, "the memory limit of this process's cgroup leaves"};
    return {room, "this machine has"};
}

[[noreturn, gnu::cold]] inline void throw_no_room(char const* what, std::uint64_t wanted,
                                                  room_left left, int error = ENOMEM) {
    auto const missing = wanted > left.bytes ? wanted - left.bytes : 0;
    throw_errno(
        text("%s needs %llu bytes of shared memory, and %s %llu: %llu bytes are missing", what,
             static_cast<unsigned long long>(wanted), left.whose,
             static_cast<unsigned long long>(left.bytes), static_cast<unsigned long long>(missing))
            .c_str(),
        error);
}

/// Throws std::system_error when so much shared memory is not to be had now.
[[gnu::cold]] inline void require_room(char const* what, std::size_t bytes) {
    auto const file = largest_file();
    if (bytes > file) {
        throw_no_room(what, bytes, {file, "RLIMIT_FSIZE (ulimit -f) allows files of"}, EFBIG);
    }
    rlimit space{};
    if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY) {
        std::string parts;
        append_file(parts, "/proc/self/statm");  // its first number: pages of address space
        auto const used = number_behind(parts, "", 0) * page_bytes();
        auto const left = space.rlim_cur > used ? space.rlim_cur - used : 0;
        if (bytes > left) {
            throw_no_room(what, bytes, {left, "RLIMIT_AS (ulimit -v) leaves"});
        }
    }
    auto const room = find_room();
    if (bytes > room.bytes) throw_no_room(what, bytes, room);
}

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// What only Linux has, for starting and watching processes: files' identities, sockets that carry
// descriptors, spawning, signals. Thread-safe unless it says otherwise.
#pragma once

#include <sys/stat.h>

#include <cstdint>

#include <concur/detail/base/config.hpp>

namespace concur::inline v0::detail {

/// Tells one state of a file from another; all zero when it cannot be read.
struct file_stamp {
    std::uint64_t device = 0, inode = 0, size = 0, seconds = 0, nanoseconds = 0;
};

[[gnu::cold]] inline file_stamp stamp_of_file(char const* path) noexcept {
    struct stat info{};
    if (stat(path, &info) != 0) return {};
    return {info.st_dev, info.st_ino, static_cast<std::uint64_t>(info.st_size),
            static_cast<std::uint64_t>(info.st_mtim.tv_sec),
            static_cast<std::uint64_t>(info.st_mtim.tv_nsec)};
}

}  // namespace concur::inline v0::detail

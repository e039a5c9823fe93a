// SPDX-License-Identifier: BSL-1.0
// Memory that several processes share: without a name, so that nothing is left over whoever is
// killed; sealed, so that no process can truncate it under another's feet. Sparse: only pages that
// were touched exist (2 us each, the first time), so that many GiB cost nothing.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#if !__has_include(<boost/interprocess/mapped_region.hpp>)
#error "concur::process_pool needs Boost's headers (Debian and Ubuntu: libboost-dev)"
#endif
#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/mapped_region.hpp>

#include <concur/detail/base/linux_ipc.hpp>
#include <concur/detail/base/text.hpp>

namespace concur::inline v0::detail {

inline std::size_t page_bytes() noexcept { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

[[noreturn, gnu::cold]] inline void throw_no_segment(std::size_t bytes, int error) {
    throw_errno(text("cannot get %zu bytes of shared memory", bytes).c_str(), error);
}

/// The largest file that this process may make. A longer one would kill it: SIGXFSZ.
inline std::size_t largest_file() noexcept {
    rlimit limit{};
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
    return static_cast<std::size_t>(limit.rlim_cur);
}

/// One mapping of the memory, and a descriptor by which other processes may get theirs. It stays
/// out of core dumps; children of fork() share it, exec() drops it.
class segment {
public:
    segment() noexcept = default;

    /// Fresh zeroed memory, at least so many bytes. Throws std::system_error.
    static segment create(std::size_t bytes) {
        auto const size = (bytes / page_bytes() + (bytes % page_bytes() != 0)) * page_bytes();
        if (size < bytes) throw_no_segment(bytes, ENOMEM);
        if (size > largest_file()) throw_no_segment(bytes, EFBIG);
        unique_fd fd = open_memfd();
        if (!fd || ftruncate(fd.get(), static_cast<off_t>(size)) != 0 ||
            fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
            throw_no_segment(bytes, errno);
        }
        return segment(std::move(fd), size);
    }

    /// The memory behind a descriptor that another process, or this one, got from fd().
    static segment attach(unique_fd fd,
                          boost::interprocess::mode_t mode = boost::interprocess::read_write) {
        struct stat found{};
        if (fstat(fd.get(), &found) != 0) throw_errno("cannot attach shared memory");
        return segment(std::move(fd), static_cast<std::size_t>(found.st_size), mode);
    }

    std::byte* data() const noexcept { return static_cast<std::byte*>(region_.get_address()); }
    std::size_t size() const noexcept { return region_.get_size(); }
    int fd() const noexcept { return fd_.get(); }
    /// Its number is not this process's any more.
    void forget_fd() noexcept { fd_.release(); }
    void replace_fd(unique_fd fd) noexcept { fd_ = std::move(fd); }

private:
    /// What mapped_region asks of the object that it maps.
    struct source {
        int fd;
        boost::interprocess::mode_t mode;
        boost::interprocess::mapping_handle_t get_mapping_handle() const noexcept {
            return boost::interprocess::ipcdetail::mapping_handle_from_file_handle(fd);
        }
        boost::interprocess::mode_t get_mode() const noexcept { return mode; }
    };

    static unique_fd open_memfd() noexcept {
        constexpr unsigned noexec_seal =
            8;  // MFD_NOEXEC_SEAL, Linux 6.3: some systems insist on it
        constexpr unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
        int const fd = memfd_create("concur", flags | noexec_seal);
        return unique_fd(fd < 0 && errno == EINVAL ? memfd_create("concur", flags) : fd);
    }

    segment(unique_fd fd, std::size_t bytes,
            boost::interprocess::mode_t mode = boost::interprocess::read_write)
        : fd_(std::move(fd)) {
        try {
            boost::interprocess::mapped_region region(source{fd_.get(), mode}, mode, 0, bytes);
            region_.swap(region);
        } catch (boost::interprocess::interprocess_exception const& failure) {
            throw_no_segment(bytes, failure.get_native_error());
        }
        madvise(data(), size(), MADV_DONTDUMP);  // a refusal only makes core dumps larger
    }

    unique_fd fd_;
    boost::interprocess::mapped_region region_;
};

/// How many bytes a segment may have here: `wanted`, or half of it, or half of that, but not less
/// than `least`; address space and files may be limited. Throws std::system_error.
inline std::size_t affordable_bytes(std::size_t wanted, std::size_t least) {
    for (auto bytes = wanted;; bytes /= 2) {
        if (bytes < least) bytes = least;
        int error = EFBIG;
        if (bytes <= largest_file()) {
            void* const trial =
                mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            error = errno;
            if (trial != MAP_FAILED) {
                munmap(trial, bytes);
                return bytes;
            }
        }
        if (bytes <= least) throw_no_segment(least, error);
    }
}

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// What only Linux has for several processes, behind names that another system could fill: file
// descriptors that close themselves, futexes between processes, handles of processes.
// Thread-safe; nothing here allocates, except exceptions.
#pragma once

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <sys/types.h>

#include <concur/detail/base/linux.hpp>

namespace concur::inline v0::detail {

/// Throws std::system_error for `error`: "<doing_what>: <what the system says>".
[[noreturn, gnu::cold, gnu::noinline]] inline void throw_errno(char const* doing_what, int error) {
    throw std::system_error(error, std::generic_category(), doing_what);
}

[[noreturn, gnu::cold]] inline void throw_errno(char const* doing_what) {
    throw_errno(doing_what, errno);
}

/// A sentence about an errno of a call that makes processes, files or mappings.
[[gnu::cold]] inline std::string errno_text(int error) {
    char const* hint = "";
    if (error == EAGAIN) hint = " (the limit on processes, RLIMIT_NPROC or the cgroup's pids.max?)";
    if (error == EMFILE) hint = " (the limit on open files, RLIMIT_NOFILE)";
    if (error == ENOMEM) hint = " (the limit on memory, RLIMIT_AS or overcommit?)";
    return std::generic_category().message(error) + hint;
}

/// 64 bits that no other process has. Throws std::system_error.
inline std::uint64_t random_word() {
    std::uint64_t word = 0;
    if (getrandom(&word, sizeof word, 0) != static_cast<long>(sizeof word)) {
        throw_errno("the system gives no random numbers");
    }
    return word;
}

/// Bytes that an ordinary user may still take in the file system of a folder; all, if it does not
/// say.
inline std::uint64_t bytes_free_in(char const* folder) noexcept {
    struct statvfs info{};
    if (statvfs(folder, &info) != 0 || info.f_blocks == 0) return UINT64_MAX;
    return std::uint64_t{info.f_bavail} * info.f_frsize;
}

/// Owns a file descriptor. Whoever opens one says CLOEXEC.
class unique_fd {
public:
    unique_fd() noexcept = default;
    explicit unique_fd(int fd) noexcept : fd_(fd) {}
    unique_fd(unique_fd&& other) noexcept : fd_(other.release()) {}
    unique_fd& operator=(unique_fd&& other) noexcept {
        if (this != &other) reset(other.release());
        return *this;
    }
    ~unique_fd() { reset(); }

    int get() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }
    int release() noexcept { return std::exchange(fd_, -1); }

    /// Leaves errno alone: a caller may be about to report it.
    void reset(int fd = -1) noexcept {
        int const before = std::exchange(fd_, fd);
        if (before < 0) return;
        int const error = errno;
        // Never again after EINTR: Linux has closed it, the number may already be another file's.
        ::close(before);
        errno = error;
    }

private:
    int fd_ = -1;
};

/// Wakes up to `sleepers` of those that sleep on `word`, in any process that maps it.
inline void futex_wake_shared(std::atomic<std::uint32_t>& word, int sleepers = INT_MAX) noexcept {
    futex_call_count.fetch_add(1, std::memory_order_relaxed);  // [count]
    syscall(SYS_futex, &word, FUTEX_WAKE, sleepers, nullptr, nullptr, 0);
}

/// Sleeps while `word`, in shared memory, holds `expected`; until `deadline` at the latest. May
/// return early.
inline void futex_wait_shared(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                              time_point deadline = time_point::max()) noexcept {
    timespec span{};
    timespec* limit = nullptr;
    if (deadline != time_point::max()) {
        auto const left = std::chrono::duration_cast<duration>(deadline - steady_clock::now());
        if (left <= duration::zero()) return;
        span.tv_sec = static_cast<std::time_t>(left.count() / 1'000'000'000);
        span.tv_nsec = static_cast<long>(left.count() % 1'000'000'000);
        limit = &span;
    }
    futex_call_count.fetch_add(1, std::memory_order_relaxed);  // [count]
    syscall(SYS_futex, &word, FUTEX_WAIT, expected, limit, nullptr, 0);
}

/// A word in shared memory and the value at which a sleeper wants to sleep.
struct futex_watch {
    std::atomic<std::uint32_t>* word;
    std::uint32_t expected;
};

inline constexpr std::size_t max_futex_watches = 128;  // FUTEX_WAITV_MAX

/// Sleeps while each of the words holds its value, until `deadline` at the latest; may return
/// early. At most max_futex_watches words. False, at once: this kernel (before 5.16) or its seccomp
/// filter has no such call.
inline bool futex_wait_any_shared(futex_watch const* watches, std::size_t count,
                                  time_point deadline = time_point::max()) noexcept {
    constexpr long number = 449;  // SYS_futex_waitv on every architecture
    struct kernel_watch {         // struct futex_waitv, which older headers do not have
        std::uint64_t value;
        std::uint64_t address;
        std::uint32_t flags;
        std::uint32_t reserved;
    };
    struct {
        std::int64_t seconds;
        std::int64_t nanoseconds;
    } limit{};
    kernel_watch waiters[max_futex_watches];
    for (std::size_t i = 0; i < count; ++i) {
        constexpr std::uint32_t word_of_32_bits = 2;
        waiters[i] = {watches[i].expected, reinterpret_cast<std::uintptr_t>(watches[i].word),
                      word_of_32_bits, 0};
    }
    auto const since_boot =
        std::chrono::duration_cast<duration>(deadline.time_since_epoch()).count();
    limit.seconds = since_boot / 1'000'000'000;
    limit.nanoseconds = since_boot % 1'000'000'000;
    futex_call_count.fetch_add(1, std::memory_order_relaxed);  // [count]
    auto const answer = syscall(number, waiters, static_cast<unsigned>(count), 0u,
                                deadline == time_point::max() ? nullptr : &limit, CLOCK_MONOTONIC);
    return answer >= 0 || (errno != ENOSYS && errno != EPERM);
}

/// A descriptor that poll() finds readable once it was signalled. Empty: there is none to be had.
inline unique_fd make_event() noexcept {
    return unique_fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}
/// False: it is not open (any more).
inline bool signal_event(int fd) noexcept {
    std::uint64_t const one = 1;
    return ::write(fd, &one, sizeof one) == sizeof one || errno == EAGAIN;
}
inline void take_back_event(int fd) noexcept {
    std::uint64_t count;
    static_cast<void>(::read(fd, &count, sizeof count));  // nothing to read: so be it
}

/// A handle of the process: readable, for poll(), once it has ended. Empty with errno: no such
/// process (ESRCH), or a kernel before 5.3 (ENOSYS).
inline unique_fd open_pidfd(pid_t pid) noexcept {
    constexpr long number = 434;  // SYS_pidfd_open on every architecture; sets CLOEXEC
    return unique_fd(static_cast<int>(syscall(number, pid, 0u)));
}

/// Never hits another process that got the same pid later. False with errno: it has ended (ESRCH).
inline bool send_signal(unique_fd const& pidfd, int signal) noexcept {
    constexpr long number = 424;  // SYS_pidfd_send_signal on every architecture
    return syscall(number, pidfd.get(), signal, nullptr, 0u) == 0;
}

/// What /proc/<pid>/stat said of a process. Fields are counted from 1, as in proc(5).
class process_stat {
public:
    [[gnu::cold]] explicit process_stat(pid_t pid) noexcept {
        char path[40];
        std::snprintf(path, sizeof path, "/proc/%ld/stat", static_cast<long>(pid));
        unique_fd const file(::open(path, O_RDONLY | O_CLOEXEC));
        auto const length = file ? ::read(file.get(), line_, sizeof line_ - 1) : -1;
        if (length <= 0) return;
        line_[length] = '\0';
        // The name, field 2, may hold spaces and brackets.
        char const* const name_end = std::strrchr(line_, ')');
        if (name_end != nullptr && std::strlen(name_end) >= 4) state_ = name_end + 2;
    }
    process_stat(process_stat const&) = delete;
    process_stat& operator=(process_stat const&) = delete;

    /// False: nothing could be read.
    explicit operator bool() const noexcept { return state_ != nullptr; }
    bool is_zombie() const noexcept { return *state_ == 'Z' || *state_ == 'X'; }
    /// From field 3 on; null: there are fewer.
    char const* field(int number) const noexcept {
        char const* at = state_;
        for (int i = 3; at != nullptr && i != number; ++i) {
            at = std::strchr(at, ' ');
            if (at != nullptr) ++at;
        }
        return at;
    }

private:
    char line_[2048];  // 52 numbers and a name
    char const* state_ = nullptr;
};

}  // namespace concur::inline v0::detail

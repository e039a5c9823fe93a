// SPDX-License-Identifier: BSL-1.0
// What only Linux has, for starting and watching processes: files' identities, sockets that carry
// descriptors, signals, spawning. Thread-safe; nothing here throws, nor allocates unless it says
// so.
#pragma once

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <spawn.h>
#include <stdio_ext.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>

#include <concur/detail/base/config.hpp>
#include <concur/detail/base/linux.hpp>
#include <concur/detail/base/linux_ipc.hpp>

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

// Sockets that keep packets whole and carry descriptors.

inline constexpr std::size_t max_packet_fds = 8;

/// Both ends close on exec. False with errno.
inline bool make_packet_pair(unique_fd& one, unique_fd& other) noexcept {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return false;
    one.reset(ends[0]);
    other.reset(ends[1]);
    return true;
}

/// From now on a send() that finds the socket full for that long fails with EAGAIN.
inline void limit_sends(int socket, int seconds) noexcept {
    timeval limit{seconds, 0};
    setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

/// Sends all of it with copies of these descriptors. 0, or what went wrong: EPIPE, ECONNRESET when
/// the other end is gone.
inline int send_packet(int socket, void const* bytes, std::size_t size, int const* fds = nullptr,
                       std::size_t count = 0) noexcept {
    iovec part{const_cast<void*>(bytes), size};
    alignas(cmsghdr) char control[CMSG_SPACE(max_packet_fds * sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (count != 0) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        auto* const header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof(int));
        std::memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    }
    while (sendmsg(socket, &message, MSG_NOSIGNAL) < 0)
        if (errno != EINTR) return errno;
    return 0;
}

/// Takes one packet: its size, at most `size`; 0 at the end; -1 with errno. Descriptors go to `fds`
/// in their order, room for max_packet_fds; they close on exec.
inline long receive_packet(int socket, void* bytes, std::size_t size,
                           unique_fd* fds = nullptr) noexcept {
    iovec part{bytes, size};
    alignas(cmsghdr) char control[CMSG_SPACE(max_packet_fds * sizeof(int))];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = fds ? control : nullptr;
    message.msg_controllen = fds ? sizeof control : 0;
    long got;
    while ((got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {
    }
    if (got < 0 || !fds) return got;
    for (auto* part_of = CMSG_FIRSTHDR(&message); part_of;
         part_of = CMSG_NXTHDR(&message, part_of)) {
        if (part_of->cmsg_level != SOL_SOCKET || part_of->cmsg_type != SCM_RIGHTS) continue;
        auto const count = (part_of->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i != count; ++i) {
            int fd;
            std::memcpy(&fd, CMSG_DATA(part_of) + i * sizeof fd, sizeof fd);
            (fds++)->reset(fd);
        }
    }
    return got;
}

/// The size of the packet that waits, without taking it; 0 at the end; -1 with errno.
inline long size_of_packet(int socket) noexcept {
    char nothing;
    long got;
    while ((got = recv(socket, &nothing, 1, MSG_PEEK | MSG_TRUNC)) < 0 && errno == EINTR) {
    }
    return got;
}

/// Sleeps until one of `count` has something to say (poll's revents are set), or the deadline.
/// Negative descriptors never do.
inline bool wait_readable(pollfd* watched, nfds_t count, time_point deadline) noexcept {
    for (;;) {
        int limit = -1;
        if (deadline != time_point::max()) {
            auto const left =
                std::chrono::ceil<std::chrono::milliseconds>(deadline - steady_clock::now());
            limit = static_cast<int>(left.count() < 0         ? 0
                                     : left.count() > INT_MAX ? INT_MAX
                                                              : left.count());
        }
        int const ready = poll(watched, count, limit);
        if (ready > 0) return true;
        if (ready == 0 || errno != EINTR) return false;
    }
}

inline bool wait_readable(int fd, time_point deadline) noexcept {
    pollfd watched{fd, POLLIN, 0};
    return wait_readable(&watched, 1, deadline);
}

// Signals.

inline void block_all_signals(sigset_t* before = nullptr) noexcept {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, before);
}

inline void unblock_all_signals() noexcept {
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

/// Every handler and every ignored signal goes back to the default.
inline void default_all_signals() noexcept {
    struct sigaction action{};
    action.sa_handler = SIG_DFL;
    for (int signal = 1; signal < NSIG; ++signal) sigaction(signal, &action, nullptr);
}

inline void set_signal(int signal, void (*handler)(int)) noexcept {
    struct sigaction action{};
    action.sa_handler = handler;
    sigaction(signal, &action, nullptr);
}

/// Readable when a child of this process has ended; SIGCHLD must be blocked. -1: no descriptor
/// left.
inline int open_child_signals() noexcept {
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    return signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
}

// Descriptors.

/// Closes every descriptor from `first` on.
[[gnu::cold]] inline void close_from(unsigned first) noexcept {
    constexpr long number = 436;  // SYS_close_range on every architecture
    if (syscall(number, first, ~0u, 0u) == 0) return;
    auto const limit = sysconf(_SC_OPEN_MAX);  // a kernel before 5.9
    for (long fd = first; fd < limit; ++fd) close(static_cast<int>(fd));
}

/// True for an open file that an exec would not close: one of a program without a stdout may have
/// got its number, but then closes on exec.
inline bool is_standard_file(int fd) noexcept {
    int const flags = fcntl(fd, F_GETFD);
    return flags >= 0 && (flags & FD_CLOEXEC) == 0;
}

/// stdin, stdout and stderr that are closed become /dev/null, so that no other file gets their
/// numbers and the program's output.
[[gnu::cold]] inline void open_standard_files() noexcept {
    for (;;) {
        int const fd = open("/dev/null", O_RDWR);
        if (fd < 0 || fd > 2) {
            if (fd > 2) close(fd);
            return;
        }
    }
}

[[gnu::cold]] inline void silence_stdin() noexcept {
    int const nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing < 0) return;
    dup2(nothing, STDIN_FILENO);
    close(nothing);
}

/// What was printed before and not flushed is another process's to print.
inline void forget_printed() noexcept {
    __fpurge(stdout);
    __fpurge(stderr);
}

// Processes.

/// The caller is killed when the thread that made this process ends: meant for single-threaded
/// parents. False: that parent, `parent`, is gone already.
inline bool die_with_parent(pid_t parent) noexcept {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    return getppid() == parent;
}

/// From now on the children of our children become ours when their parent ends.
inline void adopt_orphans() noexcept { prctl(PR_SET_CHILD_SUBREAPER, 1); }

/// Waits for the end of a child. False: it is not ours (any more), somebody else waited for it.
inline bool wait_for_child(pid_t child, int& status) noexcept {
    pid_t got;
    while ((got = waitpid(child, &status, 0)) < 0 && errno == EINTR) {
    }
    return got == child;
}

/// Starts this very program again, in its current file, with nothing inherited: descriptors 3 and
/// following are `passed`, unless they are negative, stdin /dev/null, stdout and stderr ours, every
/// other descriptor closed, no signal blocked or ignored. Never copies this process's memory. 0, or
/// what went wrong.
template <std::size_t Passed>
[[gnu::cold]] int spawn_self(pid_t& child, char* const* environment,
                             int const (&passed)[Passed]) noexcept {
    constexpr int first = 3, count = static_cast<int>(Passed);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if (int const error = posix_spawn_file_actions_init(&actions)) return error;
    if (int const error = posix_spawnattr_init(&attributes)) {
        posix_spawn_file_actions_destroy(&actions);
        return error;
    }
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    // The descriptors first: one may have the number 0 here. By way of numbers above, for they may
    // have each other's.
    int error = 0;
    unique_fd above[Passed];
    for (int i = 0; i != count && !error; ++i) {
        if (passed[i] < 0) continue;
        above[i].reset(fcntl(passed[i], F_DUPFD_CLOEXEC, first + count));
        error = above[i] ? posix_spawn_file_actions_adddup2(&actions, above[i].get(), first + i)
                         : errno;
    }
    if (!error) error = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (!error) error = posix_spawn_file_actions_addclosefrom_np(&actions, first + count);
    if (!error) error = posix_spawnattr_setsigmask(&attributes, &none);
    if (!error) error = posix_spawnattr_setsigdefault(&attributes, &all);
    if (!error) {
        error =
            posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    }
    if (!error) {
        char* const arguments[] = {program_invocation_name, nullptr};
        error =
            posix_spawn(&child, "/proc/self/exe", &actions, &attributes, arguments, environment);
    }
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/// What this process frees it keeps, for itself.
inline void keep_freed_memory() noexcept {
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
}

}  // namespace concur::inline v0::detail

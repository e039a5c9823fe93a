// SPDX-License-Identifier: BSL-1.0
// The process that is the parent of one pool's workers: starts them, waits for them, and ends them
// when the pool or its process is gone. One thread; allocates nothing, because it may have been
// forked from a process with many threads.
#pragma once

#include <climits>
#include <cstdio>
#include <cstdlib>

#include <concur/detail/base/config.hpp>
#include <concur/detail/base/linux.hpp>
#include <concur/detail/base/linux_ipc.hpp>
#include <concur/detail/base/linux_process.hpp>
#include <concur/detail/ipc/modules.hpp>
#include <concur/detail/ipc/worker_life.hpp>

namespace concur::inline v0::detail {

// What a spawned copy of the program finds in its environment, see entry.hpp.
inline constexpr char entry_variable[] = "CONCUR_WORKER_ENTRY";

/// The descriptors of a nursery. After a fork by the user the destructors never run: _exit only.
struct nursery_files {
    unique_fd of[nursery_order::kinds];
    unique_fd& operator[](std::uint8_t kind) noexcept { return of[kind]; }
};

class nursery_process {
public:
    nursery_process(nursery_order const& order, nursery_files& files, worker_main entry) noexcept
        : order_(order), files_(files), entry_(entry) {}

    /// Says hello, serves, ends the process. `modules` are sent along; none after a fork by the
    /// user, whose modules are the same.
    [[noreturn]] void run(module_info const* modules, std::size_t count) noexcept {
        name_thread("concur nursery");
        adopt_orphans();
        adopt_surroundings();
        block_all_signals();
        set_signal(SIGCHLD, SIG_DFL);
        auto const failed = prepare();
        bool const system = failed != nursery_hello::ready && failed != nursery_hello::entering;
        int const error = system ? errno : 0;
        say_hello(failed, error, modules, count);
        if (failed != nursery_hello::ready) _exit(0);
        for (std::uint32_t i = 0; i < order_.first; ++i) start(i);
        for (;;) {
            pollfd watched[] = {{files_[nursery_order::socket].get(), POLLIN, 0},
                                {files_[nursery_order::user].get(), POLLIN, 0},
                                {children_.get(), POLLIN, 0}};
            wait_readable(watched, 3, time_point::max());
            if (watched[1].revents != 0) end(whose::nobodys);
            if (watched[2].revents != 0) {
                signalfd_siginfo ignored[8];
                while (read(children_.get(), ignored, sizeof ignored) > 0) {
                }
                wait_for_the_ended();
            }
            if (watched[0].revents != 0) answer();
        }
    }

private:
    struct child {
        pid_t pid;   // 0: none
        bool again;  // asked for while the one before is not yet waited for
    };

    worker_life& life(std::uint64_t index) noexcept {
        return *std::launder(
            reinterpret_cast<worker_life*>(segment_ + order_.lives_offset + index * order_.stride));
    }

    /// Prints where the pool's process prints now, starts where it stands now.
    void adopt_surroundings() noexcept {
        if (auto& output = files_[nursery_order::output]) dup2(output.get(), STDOUT_FILENO);
        if (auto& errors = files_[nursery_order::errors]) dup2(errors.get(), STDERR_FILENO);
        if (auto& folder = files_[nursery_order::folder]) {
            // A folder that may not be entered any more leaves the workers in the server's.
            static_cast<void>(!fchdir(folder.get()));
        }
        for (auto const kind :
             {nursery_order::output, nursery_order::errors, nursery_order::folder}) {
            files_[kind].reset();
        }
        if (order_.has_cpus) sched_setaffinity(0, sizeof order_.cpus, &order_.cpus);
    }

    nursery_hello::stage prepare() noexcept {
        if (entry_ == nullptr && order_.start != start_method::spawn) {
            return nursery_hello::entering;
        }
        void* const memory = mmap(nullptr, order_.segment_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                                  files_[nursery_order::segment].get(), 0);
        if (memory == MAP_FAILED) return nursery_hello::mapping;
        segment_ = static_cast<std::byte*>(memory);
        void* const list = mmap(nullptr, (order_.workers + 1) * sizeof(child),
                                PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (list == MAP_FAILED) return nursery_hello::mapping;
        list_ = static_cast<child*>(list);
        children_.reset(open_child_signals());
        return children_ ? nursery_hello::ready : nursery_hello::watching;
    }

    void say_hello(nursery_hello::stage failed, int error, module_info const* modules,
                   std::size_t count) noexcept {
        nursery_hello hello{nursery_magic, failed, error, getpid(),
                            static_cast<std::uint32_t>(count)};
        send_hello(files_[nursery_order::socket].get(), hello, modules);
    }

public:
    static void send_hello(int socket, nursery_hello const& hello,
                           module_info const* modules) noexcept {
        iovec parts[] = {{const_cast<nursery_hello*>(&hello), sizeof hello},
                         {const_cast<module_info*>(modules), hello.modules * sizeof *modules}};
        msghdr message{};
        message.msg_iov = parts;
        message.msg_iovlen = hello.modules != 0 ? 2 : 1;
        // An end that is gone shows in the loop, as the end of the socket.
        while (sendmsg(socket, &message, MSG_NOSIGNAL) < 0 && errno == EINTR) {
        }
    }

private:
    void answer() noexcept {
        nursery_call call;
        auto const got = receive_packet(files_[nursery_order::socket].get(), &call, sizeof call);
        if (got != static_cast<long>(sizeof call) || call.index >= order_.workers) {
            end(whose::nobodys);
        }
        if (call.what == nursery_call::end) end(whose::theirs);
        auto& of = list_[call.index];
        if (call.what == nursery_call::start) {
            if (of.pid != 0)
                of.again = true;
            else
                start(call.index);
        } else if (of.pid != 0 && generation(call.index) == call.generation) {
            ::kill(of.pid, call.signal);
        }
    }

    std::uint32_t generation(std::uint32_t index) noexcept {
        return life(index).generation.load(std::memory_order_relaxed);  // [life] our own word
    }

    void start(std::uint32_t index) noexcept {
        auto const next = generation(index) + 1;
        // The end of the one before may have been published after the pool had asked.
        life(index).phase.store(worker_life::asked,
                                std::memory_order_relaxed);  // [life] before generation
        life(index).generation.store(next,
                                     std::memory_order_release);  // [life] with the pool's load
        pid_t pid = 0;
        int const error =
            order_.start == start_method::spawn ? spawn(index, next, pid) : fork(index, next, pid);
        list_[index] = {error == 0 ? pid : 0, false};
        publish(index, error == 0 ? worker_life::running : worker_life::failed, list_[index].pid,
                error);
    }

    void publish(std::uint32_t index, std::uint32_t phase, pid_t pid, int code) noexcept {
        auto& life = this->life(index);
        life.pid.store(pid, std::memory_order_relaxed);      // [life] before phase
        life.code.store(code, std::memory_order_relaxed);    // [life] before phase
        life.phase.store(phase, std::memory_order_release);  // [life] with the pool's load
        auto& control = *std::launder(
            reinterpret_cast<std::atomic<std::uint32_t>*>(segment_ + order_.control_offset));
        control.fetch_add(1);
        futex_wake_shared(control);
    }

    int fork(std::uint32_t index, std::uint32_t next, pid_t& pid) noexcept {
        pid_t const nursery = getpid();
        pid = ::fork();
        if (pid < 0) return errno;
        if (pid != 0) return 0;
        if (!die_with_parent(nursery)) _exit(0);
        children_.reset();
        inherit(files_[nursery_order::parcels].release(), files_[nursery_order::event].release());
        for (auto& file : files_.of) file.reset();
        become_worker(entry_, segment_, order_.segment_bytes, index, next);
    }

    int spawn(std::uint32_t index, std::uint32_t next, pid_t& pid) noexcept;

    void wait_for_the_ended() noexcept {
        int status = 0;
        for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
            // Others than workers are what dead workers have left behind: see end().
            for (std::uint32_t i = 0; i != order_.workers; ++i) {
                if (list_[i].pid != pid) continue;
                bool const again = list_[i].again;
                list_[i] = {};
                if (again)
                    start(i);
                else
                    publish(i, worker_life::ended, pid, status);
                break;
            }
        }
    }

    /// What workers have started and left behind: theirs to keep, or nobody's any more.
    enum class whose { theirs, nobodys };

    [[noreturn]] void end(whose left_behind) noexcept {
        for (std::uint32_t i = 0; i != order_.workers; ++i)
            if (list_[i].pid != 0) ::kill(list_[i].pid, SIGKILL);
        for (std::uint32_t i = 0; i != order_.workers; ++i) {
            int status;
            if (list_[i].pid != 0) wait_for_child(list_[i].pid, status);
        }
        // The user's process died and takes with it what its tasks have started, except for what
        // made itself a session of its own, as daemons do.
        if (left_behind == whose::nobodys) {
            while (end_adopted()) {
            }
        }
        _exit(0);
    }

    /// Kills and waits for the children that dead workers have left us. False: there is none.
    static bool end_adopted() noexcept {
        char list[4096];
        int const file = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
        if (file < 0) return false;
        auto const got = read(file, list, sizeof list - 1);
        close(file);
        list[got > 0 ? got : 0] = '\0';
        bool any = false;
        char* next = list;
        for (char* at = list;; at = next) {
            auto const pid = static_cast<pid_t>(std::strtol(at, &next, 10));
            if (next == at || *next == '\0') break;  // each pid has a space behind it
            if (getsid(pid) != getsid(0)) continue;
            ::kill(pid, SIGKILL);
            int status;
            wait_for_child(pid, status);
            any = true;
        }
        return any;
    }

public:
    [[noreturn]] static void become_worker(worker_main entry, std::byte* segment, std::size_t bytes,
                                           std::uint32_t index, std::uint32_t generation) noexcept {
        // One Ctrl-C reaches the whole group; what becomes of the tasks is the pool's decision.
        set_signal(SIGINT, SIG_IGN);
        name_thread("concur worker");
        unblock_all_signals();
        _exit(entry(segment, bytes, index, generation));
    }

private:
    nursery_order const& order_;
    nursery_files& files_;
    worker_main entry_;
    std::byte* segment_ = nullptr;
    child* list_ = nullptr;
    unique_fd children_;
};

inline int nursery_process::spawn(std::uint32_t index, std::uint32_t next, pid_t& pid) noexcept {
    char variable[200 + sizeof order_.module_file];
    std::snprintf(variable, sizeof variable, "%s=worker %llx %d %llu %u %u %llx %llx:%s",
                  entry_variable, static_cast<unsigned long long>(nursery_magic), getpid(),
                  static_cast<unsigned long long>(order_.segment_bytes), index, next,
                  static_cast<unsigned long long>(order_.entry.module),
                  static_cast<unsigned long long>(order_.entry.offset), order_.module_file);
    std::size_t count = 0;
    while (environ[count]) ++count;
    auto const bytes = (count + 2) * sizeof(char*);
    void* const memory =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return errno;
    auto** const environment = static_cast<char**>(memory);
    std::memcpy(environment, environ, count * sizeof(char*));
    environment[count] = variable;
    int const passed[] = {files_[nursery_order::segment].get(),
                          files_[nursery_order::parcels].get(), files_[nursery_order::event].get()};
    int const error = spawn_self(pid, environment, passed);
    munmap(memory, bytes);
    return error;
}

}  // namespace concur::inline v0::detail

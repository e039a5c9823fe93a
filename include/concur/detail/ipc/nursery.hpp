// SPDX-License-Identifier: BSL-1.0
// The pool's hand on its nursery, the process that is the parent of its workers. start() and
// kill() from any thread. Cost of a start: one packet; the news come through worker_life.
#pragma once

#include <string>
#include <vector>

#include <concur/detail/base/config.hpp>
#include <concur/detail/base/cpus.hpp>
#include <concur/detail/base/linux.hpp>
#include <concur/detail/base/linux_ipc.hpp>
#include <concur/detail/base/linux_process.hpp>
#include <concur/detail/base/text.hpp>
#include <concur/detail/ipc/entry.hpp>
#include <concur/detail/ipc/fork_server.hpp>
#include <concur/detail/ipc/modules.hpp>
#include <concur/detail/ipc/nursery_process.hpp>
#include <concur/detail/ipc/worker_life.hpp>
#include <concur/error.hpp>

namespace concur::inline v0::detail {

struct nursery_options {
    start_method start = start_method::forkserver;
    int segment_fd = -1;
    int parcels_fd = -1;  ///< inherited_parcels of its workers
    int event_fd = -1;    ///< inherited_event
    std::size_t segment_bytes = 0;
    std::size_t lives_offset = 0;  ///< of the first worker_life in the segment
    std::size_t stride = 0;        ///< bytes from one worker_life to the next
    std::size_t workers = 0;
    std::size_t control_offset = 0;  ///< of the word that counts news, std::atomic<std::uint32_t>
    worker_main entry = nullptr;
    std::size_t first = 0;    ///< workers 0 to first - 1 are started at once, before any start()
    std::size_t threads = 0;  ///< for OpenMP and the like; 0: usable_cpus() / workers
    duration patience = std::chrono::seconds(5);  ///< until its first word
};

/// Destroying it kills all workers and returns when they and the nursery are gone. In a child that
/// the user forks it is inert: that only closes descriptors.
class nursery {
public:
    /// Starts it and waits for its first word. Throws broken_executor, with one sentence why.
    explicit nursery(nursery_options const& options);
    ~nursery();
    nursery(nursery const&) = delete;
    nursery& operator=(nursery const&) = delete;

    /// Asks for a worker; set its phase to `asked` before. Throws broken_executor when the nursery
    /// is gone.
    void start(std::uint32_t index) { call({nursery_call::start, index, 0, 0}); }

    /// Sends a signal to the worker of that generation, if it has not ended: never to another
    /// process. Throws broken_executor when the nursery is gone (and its workers with it).
    void kill(std::uint32_t index, std::uint32_t generation, int signal) {
        call({nursery_call::kill, index, generation, signal});
    }

    /// False when the nursery has died: the kernel has sent its workers SIGKILL, and no news will
    /// come. (Not by the socket, if possible: that ends before the signals are sent.)
    bool alive() const noexcept {
        pollfd watched{process_ ? process_.get() : socket_.get(), POLLIN, 0};
        return poll(&watched, 1, 0) == 0;  // it never speaks again: only the end is readable
    }

    /// Readable, for poll(), once the nursery has died.
    int death_fd() const noexcept { return socket_.get(); }

    /// Of a worker's address space. Empty with start_method::spawn: each has its own.
    std::vector<module_info> const& modules() const noexcept { return modules_; }

    int pid() const noexcept { return pid_; }

private:
    enum class answer { hello, end, none };

    static void check_possible(nursery_options const& options);
    nursery_order make_order(nursery_options const& options) const;
    void start_by_server(nursery_options const& options, nursery_order& order, std::size_t threads);
    void start_by_fork(nursery_options const& options, nursery_order const& order,
                       std::size_t threads);
    [[noreturn]] void be_nursery(nursery_options const& options, nursery_order const& order,
                                 char** environment, int socket, int user) noexcept;
    answer await_hello(time_point deadline);
    void call(nursery_call const& what);
    void end() noexcept;

    std::uint32_t generation_ = fork_generation();
    unique_fd socket_;
    unique_fd process_;
    pid_t pid_ = 0;
    bool child_ = false;  // of this very process (method fork): we wait for it
    std::vector<module_info> modules_;
};

[[gnu::cold]] inline nursery::nursery(nursery_options const& options) {
    check_possible(options);
    auto threads = options.threads;
    if (threads == 0) threads = usable_cpus() / (options.workers != 0 ? options.workers : 1);
    if (threads == 0) threads = 1;
    auto order = make_order(options);
    if (options.start == start_method::fork)
        start_by_fork(options, order, threads);
    else
        start_by_server(options, order, threads);
    limit_sends(socket_.get(), 5);
    if (pid_ != 0) process_ = open_pidfd(pid_);
}

inline nursery::~nursery() {
    if (!forked_since(generation_)) end();
}

/// All that is known to fail, before anything is started.
[[gnu::cold]] inline void nursery::check_possible(nursery_options const& options) {
    if (starting_as_worker()) {
        throw broken_executor("this process becomes a worker: it makes no pool of its own before");
    }
    if (entry_missed()) {
        throw broken_executor(
            "this process was started as a worker but runs the program itself, because its "
            "executable does not include concur/process_pool.hpp: no pool is made here");
    }
    if (pool_depth() >= max_pool_depth) {
        throw broken_executor(
            text("process pools in workers of process pools are %d deep here, "
                 "which is the limit",
                 max_pool_depth));
    }
    if (options.start != start_method::fork && !executable_carries_hook()) {
        throw broken_executor(
            "workers cannot be started by forkserver or spawn, because the executable does not "
            "include concur/process_pool.hpp (a shared library alone is not enough); include it "
            "there, or use start_method::fork");
    }
}

[[gnu::cold]] inline nursery_order nursery::make_order(nursery_options const& options) const {
    nursery_order order;
    order.segment_bytes = options.segment_bytes;
    order.lives_offset = options.lives_offset;
    order.stride = options.stride;
    order.workers = options.workers;
    order.first = options.first;
    order.control_offset = options.control_offset;
    order.start = options.start;
    auto const* const entry = reinterpret_cast<void const*>(options.entry);
    order.entry = locate_code(entry);
    order.has_cpus = sched_getaffinity(0, sizeof order.cpus, &order.cpus) == 0;
    if (!in_main_executable(entry)) {
        auto const file = module_path(order.entry.module);
        if (file.size() < sizeof order.module_file) {
            std::memcpy(order.module_file, file.c_str(), file.size());
        }
    }
    return order;
}

[[gnu::cold]] inline void nursery::start_by_server(nursery_options const& options,
                                                   nursery_order& order, std::size_t threads) {
    auto const deadline = deadline_after(options.patience);
    unique_fd const user = open_pidfd(getpid());
    unique_fd const folder(open(".", O_PATH | O_CLOEXEC));
    auto& server = fork_server::get();
    for (;;) {
        unique_fd theirs;
        if (!make_packet_pair(socket_, theirs)) {
            throw broken_executor(
                text("worker processes cannot be started: %s", errno_text(errno).c_str()));
        }
        int const candidates[] = {theirs.get(),       options.segment_fd, user.get(),
                                  folder.get(),       STDOUT_FILENO,      STDERR_FILENO,
                                  options.parcels_fd, options.event_fd};
        int fds[nursery_order::kinds];
        std::size_t count = 0;
        for (std::uint8_t kind = 0; kind != nursery_order::kinds; ++kind) {
            bool const prints = kind == nursery_order::output || kind == nursery_order::errors;
            if (candidates[kind] < 0 || (prints && !is_standard_file(candidates[kind]))) continue;
            order.carried[count] = kind;
            fds[count++] = candidates[kind];
        }
        pid_t const pid = server.send(order, fds, count, threads);
        theirs.reset();
        switch (await_hello(deadline)) {
            case answer::hello:
                return server.has_served(pid);
            case answer::end:
                server.check_death(pid);
                break;
            case answer::none:
                server.give_up(pid);
                throw broken_executor(
                    text("worker processes cannot be started: the copy of this program that should "
                         "make them did not answer within %g s (does a static initialiser block?)",
                         in_seconds(options.patience)));
        }
    }
}

[[gnu::cold]] inline void nursery::start_by_fork(nursery_options const& options,
                                                 nursery_order const& order, std::size_t threads) {
    child_environment environment(threads);
    auto** const variables = environment.get();
    unique_fd const user = open_pidfd(getpid());
    unique_fd theirs;
    if (!make_packet_pair(socket_, theirs)) {
        throw broken_executor(
            text("worker processes cannot be started: %s", errno_text(errno).c_str()));
    }
    // No handler of the user's may run in the child before it has gone back to the defaults.
    sigset_t before;
    block_all_signals(&before);
    pid_t const pid = fork();
    int const error = errno;
    if (pid == 0) be_nursery(options, order, variables, theirs.get(), user.get());
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0) {
        throw broken_executor(
            text("worker processes cannot be started: this process could not be "
                 "forked: %s",
                 errno_text(error).c_str()));
    }
    theirs.reset();
    child_ = true;
    pid_ = pid;
    try {
        switch (await_hello(deadline_after(options.patience))) {
            case answer::hello:
                break;
            case answer::end:
                throw broken_executor(
                    "the parent process of the workers died before it had started");
            case answer::none:
                throw broken_executor(
                    text("worker processes cannot be started: the forked process did not answer "
                         "within %g s",
                         in_seconds(options.patience)));
        }
        modules_ = loaded_modules();
    } catch (...) {
        ::kill(pid, SIGKILL);
        int status;
        wait_for_child(pid, status);
        throw;
    }
}

/// The child: one thread, in a copy of the user's memory.
inline void nursery::be_nursery(nursery_options const& options, nursery_order const& order,
                                char** environment, int socket, int user) noexcept {
    // Ours move above the numbers that they get in the end, then everything else is closed.
    constexpr int ours = 5, first = 3, end = first + ours;
    int const wanted[ours] = {socket, options.segment_fd, user, options.parcels_fd,
                              options.event_fd};
    constexpr std::uint8_t kinds[ours] = {nursery_order::socket, nursery_order::segment,
                                          nursery_order::user, nursery_order::parcels,
                                          nursery_order::event};
    int moved[ours];
    for (int i = 0; i != ours; ++i)
        moved[i] = wanted[i] < 0 ? -1 : fcntl(wanted[i], F_DUPFD_CLOEXEC, end);
    nursery_files files;
    for (int i = 0; i != ours; ++i) {
        if (moved[i] < 0) {
            close(first + i);
        } else if (dup2(moved[i], first + i) >= 0) {
            files[kinds[i]].reset(first + i);
        }
    }
    close_from(end);
    for (int const fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        if (!is_standard_file(fd)) close(fd);
    silence_stdin();
    open_standard_files();
    default_all_signals();
    forget_printed();
    forget_modules();
    environ = environment;
    nursery_process(order, files, options.entry).run(nullptr, 0);
}

[[gnu::cold]] inline nursery::answer nursery::await_hello(time_point deadline) {
    if (!wait_readable(socket_.get(), deadline)) return answer::none;
    auto const size = size_of_packet(socket_.get());
    if (size < static_cast<long>(sizeof(nursery_hello))) return answer::end;
    std::vector<char> packet(static_cast<std::size_t>(size));
    auto const got = receive_packet(socket_.get(), packet.data(), packet.size());
    nursery_hello hello;
    std::memcpy(&hello, packet.data(), sizeof hello);
    if (got != size || hello.magic != nursery_magic ||
        packet.size() != sizeof hello + hello.modules * sizeof(module_info)) {
        return answer::end;
    }
    if (hello.failed != nursery_hello::ready) {
        static constexpr char const* what[] = {
            "", "the fork server could not fork", "it could not map the shared memory",
            "it could not watch its children",
            "it does not have the library in which the pool's code is"};
        auto const* const doing = what[hello.failed <= nursery_hello::entering ? hello.failed : 0];
        throw broken_executor(text("worker processes cannot be started: %s%s%s", doing,
                                   hello.error != 0 ? ": " : "",
                                   hello.error != 0 ? errno_text(hello.error).c_str() : ""));
    }
    pid_ = hello.pid;
    modules_.resize(hello.modules);
    if (hello.modules != 0) {
        std::memcpy(modules_.data(), packet.data() + sizeof hello,
                    hello.modules * sizeof(module_info));
    }
    return answer::hello;
}

inline void nursery::call(nursery_call const& what) {
    int const error = send_packet(socket_.get(), &what, sizeof what);
    if (error == 0) return;
    throw broken_executor(text("the parent process of the workers (pid %d) cannot be reached: %s",
                               pid_, send_error_text(error).c_str()));
}

/// Its socket ends, it kills its workers, waits for them and exits.
[[gnu::cold]] inline void nursery::end() noexcept {
    nursery_call const orderly{nursery_call::end, 0, 0, 0};
    send_packet(socket_.get(), &orderly, sizeof orderly);
    shutdown(socket_.get(), SHUT_WR);
    auto const deadline = deadline_after(std::chrono::seconds(10));
    bool const gone = wait_readable(process_ ? process_.get() : socket_.get(), deadline);
    // Stopped, or its workers cannot die: the kernel kills those that are left with it.
    if (!gone && process_) send_signal(process_, SIGKILL);
    int status;
    if (child_) wait_for_child(pid_, status);
}

}  // namespace concur::inline v0::detail

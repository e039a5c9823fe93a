// SPDX-License-Identifier: BSL-1.0
// How a spawned copy of the program becomes the fork server (or a worker): after all its static
// initialisers, before main, without a line from the user. Including this header does it.
#pragma once

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

#include <concur/detail/base/config.hpp>
#include <concur/detail/base/linux_process.hpp>
#include <concur/detail/ipc/modules.hpp>
#include <concur/detail/ipc/nursery_process.hpp>
#include <concur/detail/ipc/worker_life.hpp>

// Says of an executable, before anything of it has run, that it carries the hook below. Alone in
// its section, which linkers keep.
asm(".pushsection .note.concur,\"a\",%note\n"
    "  .balign 4\n"
    "  .long 7, 4, 1\n"
    "  .asciz \"concur\"\n"
    "  .balign 4\n"
    "  .long 1\n"
    ".popsection\n");

// The static initialisers of the executable. A shared library has none of its own by these names,
// or has them for itself: the hook of a shared library does nothing.
extern "C" {
using concur_initializer = void (*)(int, char**, char**);
extern concur_initializer __init_array_start[] __attribute__((weak));
extern concur_initializer __init_array_end[] __attribute__((weak));
}

// Loads a library, or is null in a static executable. By its versioned name, which libc.a does not
// have: a plain reference, however weak, would make the linker warn. (Null with libraries before
// glibc 2.34 too.) Not dlopen, because AddressSanitizer brings one of its own.
extern "C" void* concur_weak_dlmopen(Lmid_t, char const*, int) noexcept __attribute__((weak));
asm(".weak concur_weak_dlmopen\n"
    ".symver concur_weak_dlmopen, dlmopen@GLIBC_2.34\n");

namespace concur::inline v0::detail {

// Protocol [entry] - a copy of the program, started by a pool (or by a nursery, method spawn).
// The variable CONCUR_WORKER_ENTRY says what it shall be, and by whom: "server <magic> <pid>" or
// "worker <magic> <pid> <segment's bytes> <index> <generation> <module> <offset>:<its file>";
// descriptor 3 is the socket to the pool's process, or the segment.
//
//   stage        static initialisers                  pools that are made
//   not reached  those before the first hook run      inert
//   initialising the hook runs those behind it        inert
//   serving      all have run, main never will        in workers: work
//
// Who       one thread. Only the first hook of the executable acts.
// Guards    the variable counts only for a child of that pid; it is unset before anything else can
//           run, so that what a task starts is an ordinary program. A pool that finds the variable
//           but no hook in its executable (main runs!) refuses: no endless spawning.
// Death     of the parent at any moment: the socket ends, or getppid() changes; the copy exits.
enum class entry_stage : std::uint8_t { not_reached, initialising, serving };
CONCUR_API inline entry_stage current_entry_stage = entry_stage::not_reached;

struct entry_request {
    bool server = false, worker = false;
    pid_t parent = 0;
    unsigned long long bytes = 0, module = 0, offset = 0;
    unsigned index = 0, generation = 0;
    char const* file = "";
};

/// What this process was started to be: nothing, for ordinary programs.
inline entry_request read_entry_request() noexcept {
    entry_request request;
    // A program with more rights than its caller must not take orders from its environment.
    char const* const value = secure_getenv(entry_variable);
    if (!value) return request;
    char role[8] = {};
    unsigned long long magic = 0;
    int read = 0;
    int const found = std::sscanf(value, "%7s %llx %d %llu %u %u %llx %llx:%n", role, &magic,
                                  &request.parent, &request.bytes, &request.index,
                                  &request.generation, &request.module, &request.offset, &read);
    if (found < 3 || magic != nursery_magic) return request;
    if (getppid() != request.parent) {
        // A grandchild that inherited the variable - or our copy, and its parent has died.
        pollfd socket{3, POLLIN, 0};
        if (poll(&socket, 1, 0) == 1 && (socket.revents & POLLHUP)) _exit(0);
        if (kill(request.parent, 0) != 0 && errno == ESRCH) _exit(0);
        return request;
    }
    request.server = found == 3 && std::strcmp(role, "server") == 0;
    request.worker = found == 8 && read != 0 && std::strcmp(role, "worker") == 0;
    request.file = value + read;
    return request;
}

/// Whether a copy of this program would find its way into the worker loop.
inline bool executable_carries_hook() noexcept {
    return look_at_executable(
        [](dl_phdr_info const& info) { return !find_note(info, "concur", 1).empty(); });
}

inline bool is_entry_copy() noexcept {
    auto const request = read_entry_request();
    return request.server || request.worker;
}

/// True while a copy of the program still runs its static initialisers: pools stay inert.
inline bool starting_as_worker() noexcept {
    if (current_entry_stage != entry_stage::not_reached)
        return current_entry_stage == entry_stage::initialising;
    return is_entry_copy() && executable_carries_hook();
}

/// True in a copy of the program that was meant as a worker, but runs main: pools must refuse.
inline bool entry_missed() noexcept {
    return current_entry_stage == entry_stage::not_reached && is_entry_copy() &&
           !executable_carries_hook();
}

/// Code of another process of this program. Loads the library that has it, if need be and if
/// `file` is that library; null when it is not.
inline void const* load_code(code_address code, char const* file) noexcept {
    auto const* const found = find_code(code);
    if (found || !*file || !&concur_weak_dlmopen) return found;
    return concur_weak_dlmopen(LM_ID_BASE, file, RTLD_NOW) ? find_code(code) : nullptr;
}

/// The fork server: takes orders until its user is gone, forks a nursery for each.
class server_process {
public:
    explicit server_process(pid_t user) noexcept : user_pid_(user), user_(open_pidfd(user)) {}

    [[noreturn]] void run() noexcept {
        if (getppid() != user_pid_) _exit(0);
        fcntl(socket_.get(), F_SETFD, FD_CLOEXEC);
        name_thread("concur server");
        block_all_signals();           // Ctrl-C is for the user's process
        set_signal(SIGCHLD, SIG_IGN);  // nobody needs to wait for a nursery
        for (;;) {
            pollfd watched[] = {{socket_.get(), POLLIN, 0}, {user_.get(), POLLIN, 0}};
            wait_readable(watched, 2, time_point::max());
            if (watched[1].revents != 0) _exit(0);
            if (watched[0].revents != 0) take_order();
        }
    }

private:
    void take_order() noexcept {
        static nursery_order order;  // large, and there is one thread
        unique_fd received[max_packet_fds];
        auto const got = receive_packet(socket_.get(), &order, sizeof order, received);
        if (got <= 0) _exit(0);
        if (got != static_cast<long>(sizeof order) || order.magic != nursery_magic) return;
        nursery_files files;
        for (std::size_t i = 0; i != max_packet_fds; ++i)
            if (received[i]) files[order.carried[i]] = std::move(received[i]);
        pid_t const child = fork();
        if (child == 0) become_nursery(order, files);
        if (child > 0) return;
        nursery_hello const hello{nursery_magic, nursery_hello::forking, errno, 0, 0};
        nursery_process::send_hello(files[nursery_order::socket].get(), hello, nullptr);
    }

    [[noreturn]] void become_nursery(nursery_order const& order, nursery_files& files) noexcept {
        socket_.reset();
        user_.reset();
        auto const entry = load_code(order.entry, order.module_file);
        nursery_process nursery(order, files,
                                reinterpret_cast<worker_main>(const_cast<void*>(entry)));
        if (order.start == start_method::spawn) nursery.run(nullptr, 0);
        auto const modules = loaded_modules();
        nursery.run(modules.data(), modules.size());
    }

    unique_fd socket_{3};
    pid_t user_pid_;
    unique_fd user_;
};

/// A worker that is a program start of its own (method spawn).
[[noreturn]] inline void run_spawned_worker(entry_request const& request) noexcept {
    if (!die_with_parent(request.parent)) _exit(0);
    block_all_signals();
    void* const memory = mmap(nullptr, request.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0);
    close(3);
    // If the pool wants them: nothing else is open.
    auto const if_open = [](int fd) { return fcntl(fd, F_GETFD) >= 0 ? fd : -1; };
    inherit(if_open(4), if_open(5));
    auto const entry = load_code({request.module, request.offset}, request.file);
    if (memory == MAP_FAILED || !entry) _exit(127);
    nursery_process::become_worker(reinterpret_cast<worker_main>(const_cast<void*>(entry)),
                                   static_cast<std::byte*>(memory), request.bytes, request.index,
                                   request.generation);
}

/// Never returns in a copy that was started to serve.
[[gnu::cold]] inline void enter_if_asked(concur_initializer hook, concur_initializer const* begin,
                                         concur_initializer const* end, int argc, char** argv,
                                         char** environment) {
    if (current_entry_stage != entry_stage::not_reached || !std::getenv(entry_variable)) return;
    auto const request = read_entry_request();
    if (!in_main_executable(reinterpret_cast<void const*>(hook))) return;
    // request.file stands in the variable's text, which stays where it is.
    unsetenv(entry_variable);
    if (!request.server && !request.worker) return;
    current_entry_stage = entry_stage::initialising;
    while (begin != end && *begin != hook) ++begin;
    if (begin == end) {
        // A linker script without these names: who knows what has not been initialised yet.
        std::fputs(
            "concur: this executable does not say where its static initialisers are; "
            "use start_method::fork\n",
            stderr);
        _exit(126);
    }
    for (++begin; begin != end; ++begin)
        if (*begin) (*begin)(argc, argv, environment);
    open_standard_files();
    forget_printed();
    current_entry_stage = entry_stage::serving;
    if (request.worker) run_spawned_worker(request);
    server_process(request.parent).run();
}

}  // namespace concur::inline v0::detail

// One in each translation unit, and internal: it must be an initialiser of the executable itself,
// whatever shared libraries bring along. Put there by hand: [[gnu::constructor]] is no entry of its
// own any more once link-time optimisation has made one function of all constructors.
static void concur_entry_hook(int argc, char** argv, char** environment) {
    concur::detail::enter_if_asked(&concur_entry_hook, __init_array_start, __init_array_end, argc,
                                   argv, environment);
}
[[gnu::section(".init_array"), gnu::used]] static concur_initializer concur_entry =
    &concur_entry_hook;

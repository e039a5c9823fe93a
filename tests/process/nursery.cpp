// SPDX-License-Identifier: BSL-1.0
// Worker processes come into being, end, and leave nothing behind, by each start method.
#include "pit.hpp"

#include "../conformance/child.hpp"
#include "../conformance/watchdog.hpp"

#include <doctest/doctest.h>

#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

using namespace process;

namespace {

bool main_has_run = false;

int exits_with_index(std::byte* segment, std::size_t bytes, std::uint32_t index,
                     std::uint32_t generation) {
    in(segment).value[index] += static_cast<int>(generation);
    return bytes == sizeof(shared) ? 10 + static_cast<int>(index) : 1;
}

int waits_for_word(std::byte* segment, std::size_t, std::uint32_t index, std::uint32_t) {
    in(segment).value[index] = getpid();
    wait_for_word(in(segment));
    return 0;
}

/// With a child of its own.
int forks(std::byte* segment, std::size_t, std::uint32_t, std::uint32_t) {
    const pid_t child = fork();
    if (child == 0) {
        wait_for_word(in(segment));
        _exit(0);
    }
    in(segment).value[1] = child;
    wait_for_word(in(segment));
    return 0;
}

int crashes(std::byte*, std::size_t, std::uint32_t index, std::uint32_t) {
    std::raise(index == 0 ? SIGUSR2 : SIGABRT);
    return 0;
}

int tells_state(std::byte* segment, std::size_t, std::uint32_t, std::uint32_t) {
    auto& memory = in(segment);
    const auto text = file_text("/proc/self/status");
    const auto used = text.copy(memory.text, sizeof memory.text - 1);
    std::size_t end = used;
    for (int fd = 0; fd != 4096; ++fd)
        if (fcntl(fd, F_GETFD) >= 0)
            end += static_cast<std::size_t>(
                std::snprintf(memory.text + end, sizeof memory.text - end, "fd %d\n", fd));
    return main_has_run ? 1 : 0;
}

int tells_variables(std::byte* segment, std::size_t, std::uint32_t, std::uint32_t) {
    char* at = in(segment).text;
    for (char** one = environ; *one; ++one) {
        const std::string text = *one;
        if (text.find("THREADS") == text.npos && text.find("CONCUR") != 0) continue;
        at += text.copy(at, 100);
        *at++ = '\n';
    }
    return 0;
}

int tells_folder(std::byte* segment, std::size_t, std::uint32_t, std::uint32_t) {
    std::printf("printed by a worker\n");
    std::fflush(stdout);
    return getcwd(in(segment).text, 1000) ? 0 : 1;
}

int opens_a_nursery(std::byte* segment, std::size_t, std::uint32_t, std::uint32_t) {
    try {
        pit inner(start_method::forkserver, exits_with_index);
        inner.open();
        inner.start(3);
        return WEXITSTATUS(inner.status(3));
    } catch (const concur::broken_executor& error) {
        std::strncpy(in(segment).text, error.what(), 1000);
        return 1;
    }
}

constexpr start_method methods[] = {start_method::forkserver, start_method::fork,
                                    start_method::spawn};

std::string name_of(start_method method) {
    return method == start_method::forkserver ? "forkserver"
           : method == start_method::fork     ? "fork"
                                              : "spawn";
}

/// The line of /proc/pid/status as a number.
unsigned long long field(const char* text, const char* name) {
    const char* const at = std::strstr(text, name);
    REQUIRE(at != nullptr);
    return std::strtoull(at + std::strlen(name), nullptr, 16);
}

}  // namespace

TEST_CASE("nursery: 1, 2, 5 workers run and end with what they return") {
    const conformance::watchdog guard;
    main_has_run = true;
    for (const auto method : methods) {
        for (const std::uint32_t workers : {1u, 2u, 5u}) {
            CAPTURE(name_of(method));
            CAPTURE(workers);
            pit p(method, exits_with_index);
            p.open();
            for (std::uint32_t i = 0; i != workers; ++i) p.start(i);
            for (std::uint32_t i = 0; i != workers; ++i) {
                const int status = p.status(i);
                CHECK(WIFEXITED(status));
                CHECK(WEXITSTATUS(status) == 10 + static_cast<int>(i));
                CHECK(p.life(i).generation == 1);
                CHECK(p.memory->value[i] == 1);
            }
            CHECK(p.life(workers).phase == worker_life::none);
            p.start(0);
            p.status(0);
            CHECK(p.memory->value[0] == 3);  // 1, and 2 of the second generation
            CHECK(p.home->alive());
        }
    }
}

TEST_CASE("nursery: starts its first workers by itself") {
    const conformance::watchdog guard;
    for (const auto method : methods) {
        CAPTURE(name_of(method));
        pit p(method, exits_with_index);
        p.options.first = 2;
        p.open();
        CHECK(WEXITSTATUS(p.status(0)) == 10);
        CHECK(WEXITSTATUS(p.status(1)) == 11);
        CHECK(p.life(2).phase == worker_life::none);
    }
}

TEST_CASE("nursery: signals end workers, and their number is told") {
    const conformance::watchdog guard;
    for (const auto method : methods) {
        CAPTURE(name_of(method));
        pit p(method, crashes);
        p.open();
        p.start(0);
        p.start(1);
        CHECK(WTERMSIG(p.status(0)) == SIGUSR2);
        CHECK(WTERMSIG(p.status(1)) == SIGABRT);
        p.home.reset();
        p.options.entry = waits_for_word;
        p.memory->lives[0].phase = worker_life::none;
        p.open();
        p.start(0);
        p.wait_running(0);
        p.home->kill(0, p.life(0).generation - 1, SIGKILL);  // of another generation: nobody
        p.home->kill(1, 1, SIGKILL);                         // runs nothing
        p.home->kill(0, p.life(0).generation, SIGTERM);
        CHECK(WTERMSIG(p.status(0)) == SIGTERM);
    }
}

TEST_CASE("nursery: a worker asked for while the one before still runs comes after it") {
    const conformance::watchdog guard;
    pit p(start_method::forkserver, waits_for_word);
    p.open();
    p.start(0);
    p.wait_running(0);
    p.start(0);
    p.home->kill(0, 1, SIGKILL);
    while (p.life(0).generation != 2) p.wait_running(0);
    p.wait_running(0);
    p.say_word();
    CHECK(WEXITSTATUS(p.status(0)) == 0);
}

TEST_CASE("nursery: its destructor leaves no process") {
    const conformance::watchdog guard;
    for (const auto method : methods) {
        CAPTURE(name_of(method));
        pit p(method, waits_for_word);
        p.open();
        for (std::uint32_t i = 0; i != 3; ++i) p.start(i);
        for (std::uint32_t i = 0; i != 3; ++i) p.wait_running(i);
        const int home = p.home->pid();
        p.home.reset();
        CHECK(kill(home, 0) != 0);
        for (std::uint32_t i = 0; i != 3; ++i) CHECK(kill(p.life(i).pid, 0) != 0);
    }
}

TEST_CASE("nursery: its destructor leaves alone what tasks have started") {
    const conformance::watchdog guard;
    pit p(start_method::forkserver, forks);
    p.open();
    p.start(0);
    p.wait_running(0);
    while (p.memory->value[1] == 0) sched_yield();
    p.home.reset();
    CHECK(kill(p.life(0).pid, 0) != 0);
    CHECK(kill(p.memory->value[1], 0) == 0);
    p.say_word();
    CHECK(is_gone(p.memory->value[1]));
}

TEST_CASE("nursery: when it is killed its workers die, and alive() says so") {
    const conformance::watchdog guard;
    for (const auto method : methods) {
        CAPTURE(name_of(method));
        pit p(method, waits_for_word);
        p.open();
        p.start(0);
        p.wait_running(0);
        CHECK(p.home->alive());
        kill(p.home->pid(), SIGKILL);
        CHECK(is_gone(p.life(0).pid));
        CHECK(wait_readable(p.home->death_fd(), deadline_after(patience)));
        CHECK_FALSE(p.home->alive());
        CHECK_THROWS_AS(p.home->start(1), concur::broken_executor);
        CHECK_THROWS_AS(p.home->kill(0, 1, SIGKILL), concur::broken_executor);
    }
}

TEST_CASE("nursery: a fork server that was killed is started again; its nurseries go on") {
    const conformance::watchdog guard;
    pit before(start_method::forkserver, exits_with_index);
    before.open();
    auto& server = concur::detail::fork_server::get();
    const int pid = server.pid();
    REQUIRE(pid > 0);
    kill(pid, SIGTERM);  // is not for it
    kill(pid, SIGINT);
    kill(pid, SIGKILL);
    pit after(start_method::forkserver, exits_with_index);
    after.open();
    CHECK(server.pid() != pid);
    for (auto* p : {&before, &after}) {
        p->start(4);
        CHECK(WEXITSTATUS(p->status(4)) == 14);
    }
}

TEST_CASE("nursery: a fork server that does not answer is given up, and the next one serves") {
    const conformance::watchdog guard;
    auto& server = concur::detail::fork_server::get();
    pit p(start_method::forkserver, exits_with_index);
    p.open();
    p.home.reset();
    const int pid = server.pid();
    kill(pid, SIGSTOP);
    p.options.patience = std::chrono::milliseconds(50);
    CHECK_THROWS_WITH_AS(p.open(), doctest::Contains("did not answer within 0.05 s"),
                         concur::broken_executor);
    CHECK(kill(pid, 0) != 0);
    p.options.patience = patience;
    p.open();
    CHECK(server.pid() != pid);
}

TEST_CASE("nursery: Ctrl-C and a hang-up are not for it") {
    const conformance::watchdog guard;
    for (const auto method : methods) {
        CAPTURE(name_of(method));
        pit p(method, waits_for_word);
        p.open();
        p.start(0);
        p.wait_running(0);
        while (p.memory->value[0] == 0) sched_yield();
        for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) kill(p.home->pid(), signal);
        kill(p.life(0).pid, SIGINT);
        p.say_word();
        CHECK(WIFEXITED(p.status(0)));
        CHECK(p.home->alive());
    }
}

TEST_CASE("worker: no stray descriptor, no blocked or ignored signal, stdin is empty") {
    const conformance::watchdog guard;
    // Some of the kind that a program might have by accident.
    const unique_fd stray(open("/dev/null", O_RDONLY));
    const unique_fd high(fcntl(stray.get(), F_DUPFD, 700));
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGUSR1, [](int) {});
    sigset_t some, before;
    sigemptyset(&some);
    sigaddset(&some, SIGTERM);
    sigaddset(&some, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &some, &before);
    concur::detail::fork_server::get().give_up(concur::detail::fork_server::get().pid());
    for (const auto method : methods) {
        CAPTURE(name_of(method));
        pit p(method, tells_state);
        p.open();
        p.start(0);
        CHECK(WEXITSTATUS(p.status(0)) == (method == start_method::fork ? 1 : 0));
        const char* const text = p.memory->text;
        constexpr unsigned long long ordinary = 0x7fffffff, interrupt = 1u << (SIGINT - 1);
        CHECK(field(text, "SigBlk:") == 0);
        CHECK((field(text, "SigIgn:") & ordinary) == interrupt);
        CHECK((field(text, "SigCgt:") & ordinary & (1u << (SIGUSR1 - 1))) == 0);
        // 3 is the listing's own when it stands there; nothing else may.
        CHECK(std::string(std::strstr(text, "fd 0")) == "fd 0\nfd 1\nfd 2\n");
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    std::signal(SIGPIPE, SIG_DFL);
    std::signal(SIGUSR1, SIG_DFL);
}

TEST_CASE("worker: thread limits for OpenMP and others, unless the user set them; the depth") {
    const conformance::watchdog guard;
    setenv("OMP_NUM_THREADS", "77", 1);
    for (const auto method : methods) {
        CAPTURE(name_of(method));
        pit p(method, tells_variables);
        p.options.threads = 5;
        p.open();
        p.start(0);
        p.status(0);
        const std::string text = p.memory->text;
        CHECK(text.find("OMP_NUM_THREADS=77\n") != text.npos);
        CHECK(text.find("MKL_NUM_THREADS=5\n") != text.npos);
        CHECK(text.find("OPENBLAS_NUM_THREADS=5\n") != text.npos);
        CHECK(text.find("CONCUR_DEPTH=1\n") != text.npos);
        CHECK(text.find("CONCUR_WORKER_ENTRY") == text.npos);
    }
    unsetenv("OMP_NUM_THREADS");
}

TEST_CASE("worker: prints where its pool's process prints, and stands where that stands") {
    const conformance::watchdog guard;
    char folder[] = "/tmp/concur-test-XXXXXX";
    REQUIRE(mkdtemp(folder) != nullptr);
    const unique_fd home(open(".", O_PATH | O_CLOEXEC));
    const unique_fd output(dup(STDOUT_FILENO));
    const unique_fd file(memfd_create("output", MFD_CLOEXEC));
    for (const auto method : methods) {
        CAPTURE(name_of(method));
        pit p(method, tells_folder);
        // The fork server was started with another folder and another stdout.
        REQUIRE(chdir(folder) == 0);
        std::fflush(stdout);
        std::printf("not flushed by the parent");
        dup2(file.get(), STDOUT_FILENO);
        p.open();
        p.start(0);
        const int status = p.status(0);
        std::fflush(stdout);
        dup2(output.get(), STDOUT_FILENO);
        REQUIRE(fchdir(home.get()) == 0);
        CHECK(WEXITSTATUS(status) == 0);
        CHECK(std::string(p.memory->text) == folder);
    }
    char printed[1000] = {};
    CHECK(pread(file.get(), printed, sizeof printed - 1, 0) > 0);
    std::string expected;
    for (int i = 0; i != 3; ++i) expected += "printed by a worker\nnot flushed by the parent";
    CHECK(printed == expected);
    rmdir(folder);
}

TEST_CASE("nursery: the thread that made it may end") {
    const conformance::watchdog guard;
    for (const auto method : methods) {
        CAPTURE(name_of(method));
        pit p(method, waits_for_word);
        std::thread([&] {
            p.open();
            p.start(0);
            p.wait_running(0);
        }).join();
        p.start(1);
        p.wait_running(1);
        p.say_word();
        CHECK(WEXITSTATUS(p.status(0)) == 0);
        CHECK(WEXITSTATUS(p.status(1)) == 0);
    }
}

TEST_CASE("nursery: inert in a child that the user forks") {
    const conformance::watchdog guard;
    for (const auto method : methods) {
        CAPTURE(name_of(method));
        pit p(method, waits_for_word);
        p.open();
        p.start(0);
        p.wait_running(0);
        const pid_t child = fork();
        if (child == 0) {
            p.home.reset();
            // It may have workers of its own, through a fork server of its own.
            pit own(start_method::forkserver, exits_with_index);
            own.open();
            own.start(0);
            const int status = own.status(0);
            own.home.reset();
            _exit(WEXITSTATUS(status) == 10 ? 5 : 1);
        }
        int status = 0;
        waitpid(child, &status, 0);
        CHECK(WEXITSTATUS(status) == 5);
        CHECK(p.home->alive());
        p.say_word();
        CHECK(WEXITSTATUS(p.status(0)) == 0);
    }
}

TEST_CASE("nursery: inside a worker, to a certain depth") {
    const conformance::watchdog guard;
    for (const auto method : methods) {
        CAPTURE(name_of(method));
        pit p(method, opens_a_nursery);
        p.open();
        p.start(0);
        CHECK(p.status(0) == 13 << 8);
    }
    setenv("CONCUR_DEPTH", "9", 1);
    concur::detail::fork_server::get().give_up(concur::detail::fork_server::get().pid());
    pit p(start_method::forkserver, opens_a_nursery);
    p.open();
    p.start(0);
    CHECK(WEXITSTATUS(p.status(0)) == 1);
    CHECK(std::string(p.memory->text).find("10 deep") != std::string::npos);
    unsetenv("CONCUR_DEPTH");
    concur::detail::fork_server::get().give_up(concur::detail::fork_server::get().pid());
}

TEST_CASE("nursery: when there are no descriptors left, the sentence says so") {
    const conformance::watchdog guard;
    pit p(start_method::forkserver, exits_with_index);
    rlimit before{}, none{};
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = static_cast<rlim_t>(p.fd.get() + 1);
    setrlimit(RLIMIT_NOFILE, &none);
    std::exception_ptr thrown;
    try {
        p.open();
    } catch (const concur::broken_executor&) {
        thrown = std::current_exception();
    }
    setrlimit(RLIMIT_NOFILE, &before);
    REQUIRE(thrown != nullptr);
    std::string text;
    try {
        std::rethrow_exception(thrown);  // UBSan opens a pipe to look at it
    } catch (const concur::broken_executor& error) {
        text = error.what();
    }
    CHECK(text.find("RLIMIT_NOFILE") != text.npos);
    p.open();
}

TEST_CASE("hidden: too few processes" * doctest::skip()) {
    if (setgid(65534) != 0 || setuid(65534) != 0) _exit(77);
    const auto allow = [](rlim_t processes) {
        const rlimit limit{processes, 1000};
        setrlimit(RLIMIT_NPROC, &limit);
    };
    allow(1);
    for (const auto method : methods) {
        CAPTURE(name_of(method));
        pit p(method, exits_with_index);
        CHECK_THROWS_WITH_AS(p.open(), doctest::Contains("RLIMIT_NPROC"), concur::broken_executor);
    }
    // Enough for server and nursery (or for the nursery), not for a worker.
    for (const auto method : methods) {
        CAPTURE(name_of(method));
        pit p(method, exits_with_index);
        allow(10);
        p.open();
        const rlimit none{1, 1};
        prlimit(p.home->pid(), RLIMIT_NPROC, &none, nullptr);
        p.start(0);
        CHECK(p.wait_phase(0, worker_life::ended, worker_life::failed) == worker_life::failed);
        CHECK(p.life(0).code == EAGAIN);
        CHECK(p.home->alive());
    }
}

TEST_CASE("nursery: when no more processes are allowed, the sentence says so") {
    if (geteuid() != 0) return;  // the limit would be that of the developer's whole session
    const auto result = conformance::run_in_child("hidden: too few processes");
    INFO(result.output);
    CHECK(result.ended_well());
}

TEST_CASE("hidden: no standard files" * doctest::skip()) {
    for (int fd = 0; fd != 3; ++fd) close(fd);
    for (const auto method : methods) {
        // Takes the numbers 0, 1, 2 for what no worker must print to.
        pit p(method, tells_state);
        p.open();
        p.start(0);
        p.status(0);
        std::optional<pit> home(std::in_place, method, tells_folder);
        home->open();
        home->start(0);
        const int status = home->status(0);
        if (WEXITSTATUS(status) != 0) _exit(11);
        if (std::strstr(p.memory->text, "fd 0\nfd 1\nfd 2\n") == nullptr) _exit(12);
        if (std::strstr(p.memory->text, "fd 3\n") != nullptr) _exit(13);
        kill(p.home->pid(), SIGKILL);
        if (!wait_readable(p.home->death_fd(), deadline_after(patience))) _exit(14);
    }
    _exit(0);
}

TEST_CASE("nursery: a program without stdin, stdout and stderr") {
    const auto result = conformance::run_in_child("hidden: no standard files");
    INFO(result.output);
    CHECK(result.status == 0);
}

TEST_CASE("hidden: a program whose file is gone" * doctest::skip()) {
    char file[4096] = {};
    REQUIRE(readlink("/proc/self/exe", file, sizeof file - 1) > 0);
    REQUIRE(unlink(file) == 0);
    for (const auto method : methods) {
        CAPTURE(name_of(method));
        pit p(method, exits_with_index);
        p.open();
        p.start(0);
        CHECK(WEXITSTATUS(p.status(0)) == 10);
    }
}

TEST_CASE("nursery: a program whose file was removed while it runs") {
    char folder[] = "/tmp/concur-test-XXXXXX";
    REQUIRE(mkdtemp(folder) != nullptr);
    const std::string copy = std::string(folder) + "/copy";
    {
        std::ifstream from("/proc/self/exe", std::ios::binary);
        std::ofstream(copy, std::ios::binary) << from.rdbuf();
    }
    chmod(copy.c_str(), 0755);
    const std::string command =
        copy + " --no-skip --no-intro=true \"--test-case=hidden: a program whose file is gone\"";
    CHECK(std::system(command.c_str()) == 0);
    CHECK(rmdir(folder) == 0);
}

// Killed from outside while it has a nursery of each kind.
TEST_CASE("hidden: a parent that dies" * doctest::skip()) {
    std::optional<pit> pits[3];
    for (int i = 0; i != 3; ++i) {
        auto& p = pits[i].emplace(methods[i], forks);
        p.open();
        p.start(0);
        p.wait_running(0);
        while (p.memory->value[1] == 0) sched_yield();
        std::printf("pid %d\npid %d\npid %d\n", p.home->pid(), p.life(0).pid.load(),
                    p.memory->value[1].load());
    }
    std::printf("pid %d\n", concur::detail::fork_server::get().pid());
    std::fflush(stdout);
    if (std::getenv("CONCUR_TEST_KILL")) raise(SIGKILL);
    if (std::getenv("CONCUR_TEST_EXIT")) _exit(0);
    std::exit(0);
}

TEST_CASE("nursery: when the user's process dies or ends, nothing is left") {
    const conformance::watchdog guard;
    for (const char* const how : {"CONCUR_TEST_KILL", "CONCUR_TEST_EXIT", "CONCUR_TEST_END"}) {
        CAPTURE(how);
        const auto result = conformance::run_in_child("hidden: a parent that dies", {{how, "1"}});
        int pids = 0;
        for (std::size_t at = 0; (at = result.output.find("pid ", at)) != result.output.npos;
             ++at) {
            CHECK(is_gone(std::atoi(result.output.c_str() + at + 4)));
            ++pids;
        }
        CHECK(pids == 10);
    }
}

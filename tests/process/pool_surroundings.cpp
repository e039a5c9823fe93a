// SPDX-License-Identifier: BSL-1.0
// What a task finds in its worker, what it may do there, and how workers are replaced: rows 94, 97,
// 100 to 103, 119, 120, 122.
#include "notebook.hpp"
#include "traces.hpp"

#include "../conformance/child.hpp"

#include <concur/thread_pool.hpp>

#include <doctest/doctest.h>

#include <fcntl.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <set>

using namespace process;
using conformance::eventually;
using conformance::run_in_child;
using namespace std::chrono_literals;

namespace {

std::string status_line(const std::string& name) {
    const auto text = file_content("/proc/self/status");
    const auto at = text.find(name);
    return text.substr(at, text.find('\n', at) - at);
}

std::string variable(const std::string& name) {
    const char* const value = std::getenv(name.c_str());
    return value ? value : "";
}

int initialised_as = -1;

concur::process_pool* pool_of_parent = nullptr;

int sum_in_a_pool_of_its_own(int levels) {
    if (levels == 0) return 1;
    concur::process_pool inner(2);
    int sum = 0;
    for (int value : inner.map(&sum_in_a_pool_of_its_own, std::vector<int>(2, levels - 1)))
        sum += value;
    return sum;
}

/// A pool in a pool in a pool ... until it is refused.
std::string deepest_error() {
    try {
        concur::process_pool inner(1);
        return inner.submit(&deepest_error).get();
    } catch (const std::exception& error) {
        return error.what();
    }
}

std::vector<char> large_value(std::size_t bytes) { return std::vector<char>(bytes, 'x'); }

long sum_of(const std::vector<char>& bytes) {
    return std::accumulate(bytes.begin(), bytes.end(), 0L);
}

}  // namespace

TEST_CASE("surroundings: no stray files, no blocked and no ignored signals") {
    const nothing_left guard;
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    const auto ignored = std::signal(SIGUSR2, SIG_IGN);
    const int stray = open("/dev/null", O_RDONLY);  // without O_CLOEXEC
    for (const auto method : start_methods) {
        CAPTURE(name_of(method));
        concur::process_pool pool({.workers = 1, .start = method});
        CHECK(pool.submit(&status_line, std::string("SigBlk")).get() ==
              "SigBlk:\t0000000000000000");
        // SIGINT, so that one Ctrl-C does not end all workers. (32 and 33 are the C library's own.)
        const auto ignored_there = pool.submit(&status_line, std::string("SigIgn")).get();
        CHECK((std::stoull(ignored_there.substr(8), nullptr, 16) & 0x7fffffff) == 2);
        // All that a worker has is the pool's own socket, over which shared memory goes back, and
        // the event by which it wakes a loop; and what a task starts does not inherit them.
        const auto open_files = [] {
            std::vector<std::string> kinds;
            for (int fd = 3; fd != 1000; ++fd) {
                const int flags = fcntl(fd, F_GETFD);
                if (flags < 0) continue;
                char target[64] = {};
                const auto link = "/proc/self/fd/" + std::to_string(fd);
                if (readlink(link.c_str(), target, sizeof target - 1) < 0) continue;
                const std::string kind(target, std::strcspn(target, "["));
                kinds.push_back(kind + ((flags & FD_CLOEXEC) != 0 ? "" : " for everybody"));
            }
            return kinds;
        };
        CHECK(pool.submit(open_files).get() == std::vector<std::string>{"socket:", "anon_inode:"});
        CHECK(pool.submit([] { return isatty(0); }).get() == 0);
    }
    close(stray);
    std::signal(SIGUSR2, ignored);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_CASE("surroundings 122: libraries use as many threads as there are CPUs for each worker") {
    const nothing_left guard;
    for (const auto method : start_methods) {
        CAPTURE(name_of(method));
        concur::process_pool pool({.workers = 1, .start = method});
        CHECK(pool.submit(&variable, std::string("OMP_NUM_THREADS")).get() ==
              std::to_string(concur::usable_cpus()));
        concur::process_pool many({.workers = 64, .start = method});
        CHECK(many.submit(&variable, std::string("OPENBLAS_NUM_THREADS")).get() ==
              std::to_string(std::max<std::size_t>(1, concur::usable_cpus() / 64)));
    }
}

TEST_CASE("hidden: has chosen its threads" * doctest::skip()) {
    concur::process_pool pool(8);
    CHECK(pool.submit(&variable, std::string("OMP_NUM_THREADS")).get() == "3");
}

TEST_CASE("surroundings 122: what the user has said about threads counts") {
    const nothing_left guard;
    const auto child = run_in_child("hidden: has chosen its threads", {{"OMP_NUM_THREADS", "3"}});
    INFO(child.output);
    CHECK(child.ended_well());
}

TEST_CASE("hidden: prints in workers" * doctest::skip()) {
    for (const auto method : start_methods) {
        concur::process_pool pool({.workers = 2, .start = method});
        for (int i = 0; i != 20; ++i) {
            pool.submit([i] { std::printf("<%d", i); }).get();
            // Before this, which is not buffered.
            if (write(STDOUT_FILENO, ">", 1) != 1) std::abort();
        }
    }
}

TEST_CASE("surroundings: what a task prints has arrived when its future is done") {
    const nothing_left guard;
    const auto child = run_in_child("hidden: prints in workers");
    std::string wanted;
    for (int i = 0; i != 20; ++i) wanted += "<" + std::to_string(i) + ">";
    CAPTURE(child.output);
    CHECK(child.output.find(wanted + wanted + wanted) != std::string::npos);
}

TEST_CASE("surroundings 97: the initializer runs once in every worker, replacements too") {
    const nothing_left guard;
    for (const auto method : start_methods) {
        CAPTURE(name_of(method));
        concur::process_pool pool(
            {.workers = 2,
             .initializer = [](std::size_t worker) { initialised_as = static_cast<int>(worker); },
             .start = method});
        const auto look = [] {
            return initialised_as == static_cast<int>(concur::this_worker::index());
        };
        for (int i = 0; i != 10; ++i) {
            CHECK(pool.submit(look).get());
            CHECK_THROWS_AS(pool.submit([] { kill(getpid(), SIGKILL); }).get(),
                            concur::worker_lost);
        }
        CHECK(initialised_as == -1);
    }
}

TEST_CASE("surroundings 100: a worker is replaced after so many tasks") {
    const nothing_left guard;
    for (const auto method : start_methods) {
        CAPTURE(name_of(method));
        concur::process_pool pool({.workers = 1, .max_tasks_per_worker = 3, .start = method});
        std::vector<int> pids;
        for (int i = 0; i != 10; ++i) pids.push_back(pool.submit([] { return getpid(); }).get());
        for (std::size_t i = 0; i != 10; ++i) {
            CAPTURE(i);
            CHECK(pids[i] == pids[i / 3 * 3]);
            if (i % 3 == 0 && i != 0) CHECK(pids[i] != pids[i - 1]);
        }
        CHECK(pool.stats().workers_lost == 0);
        CHECK_THROWS_AS(concur::process_pool({.workers = 1, .max_tasks_per_worker = -1}),
                        std::invalid_argument);
    }
}

TEST_CASE("surroundings 102: tasks that are queued at shutdown run on replacements") {
    const nothing_left guard;
    for (const int most : {1, 3}) {
        for (const bool waits : {true, false}) {
            CAPTURE(most);
            CAPTURE(waits);
            concur::process_pool pool({.workers = 2, .max_tasks_per_worker = most});
            std::vector<concur::future<int>> tasks;
            for (int i = 0; i != 40; ++i) tasks.push_back(pool.submit([] { return getpid(); }));
            pool.shutdown({.wait = waits});
            std::set<int> pids;
            for (auto& task : tasks) pids.insert(task.get());
            CHECK(pids.size() >= static_cast<std::size_t>(40 / most));
            CHECK(pool.stats().workers_lost == 0);
        }
    }
}

TEST_CASE("surroundings 103: a worker that has grown too large is replaced between tasks") {
    const nothing_left guard;
    concur::process_pool pool({.workers = 1, .memory_limit = 200u << 20});
    const auto leak = [] {
        static std::vector<char>* leaked = nullptr;
        leaked = new std::vector<char>(50u << 20, 'x');
        return static_cast<int>(leaked->size() != 0) * getpid();
    };
    std::vector<int> pids;
    for (int i = 0; i != 12; ++i) pids.push_back(pool.submit(leak).get());
    for (std::size_t i = 0; i + 5 < pids.size(); ++i) CHECK(pids[i] != pids[i + 5]);
    CHECK(pids[0] == pids[1]);
    CHECK(std::set<int>(pids.begin(), pids.end()).size() >= 2);
    CHECK(pool.stats().workers_lost == 0);
}

TEST_CASE("surroundings 119: pools in workers, to a certain depth") {
    const nothing_left guard;
    concur::process_pool pool(1);
    CHECK(pool.submit(&sum_in_a_pool_of_its_own, 2).get() == 4);
    const auto text = pool.submit(&deepest_error).get();
    CAPTURE(text);
    CHECK(text.find("deep") != text.npos);
    CHECK(pool.submit([] { return 1; }).get() == 1);
}

TEST_CASE("surroundings 119: a killed worker takes its own workers with it") {
    const nothing_left guard;
    concur::process_pool pool(1);
    const notebook book;
    auto task = pool.submit(
        [](const std::string& path) {
            concur::process_pool inner(2);
            auto one = inner.submit(
                [](const std::string& p) {
                    note(p, getpid());
                    for (;;) pause();
                },
                path);
            one.get();
        },
        book.path());
    eventually([&] { return book.notes().size() == 1; });
    pool.kill_workers();
    const auto inner = static_cast<int>(book.notes()[0]);
    eventually([&] {
        return kill(inner, 0) != 0 ||
               file_content("/proc/" + std::to_string(inner) + "/stat").find(") Z") !=
                   std::string::npos;
    });
    CHECK(conformance::holds<concur::worker_lost>(task.exception()));
}

TEST_CASE("surroundings 120: the pool of the parent cannot be used in a worker, and says so") {
    const nothing_left guard;
    concur::process_pool pool({.workers = 1, .start = concur::start_method::fork});
    const auto use = [] {
        if (pool_of_parent == nullptr) return std::string("there is none");
        return conformance::text_thrown<concur::broken_executor>(
            [] { static_cast<void>(pool_of_parent->submit([] {})); });
    };
    CHECK(pool.submit(use).get() == "there is none");
    concur::process_pool other(1);
    pool_of_parent = &other;
    concur::process_pool later({.workers = 1, .start = concur::start_method::fork});
    CHECK(later.submit(use).get().find("fork") != std::string::npos);
    pool_of_parent = nullptr;
}

TEST_CASE("surroundings: threads in a worker") {
    const nothing_left guard;
    concur::process_pool pool(2);
    const auto sum = [](int n) {
        concur::thread_pool threads(3);
        return threads.reduce(std::plus<>(), conformance::numbers(n), 0);
    };
    for (int i = 0; i != 5; ++i) CHECK(pool.submit(sum, 1000).get() == 499500);
}

TEST_CASE("surroundings: large arguments and results") {
    const nothing_left guard;
    concur::process_pool pool(2);
    for (const std::size_t bytes : {1u << 20, 100u << 20}) {
        const auto value = pool.submit(&large_value, bytes).get();
        CHECK(value.size() == bytes);
        CHECK(pool.submit(&sum_of, value).get() == static_cast<long>(bytes) * 'x');
    }
}

TEST_CASE("surroundings: more than 2 GB" * doctest::skip()) {
    const nothing_left guard;
    concur::process_pool pool(1);
    const std::size_t bytes = 2'200'000'000;
    CHECK(pool.submit(&sum_of, pool.submit(&large_value, bytes).get()).get() ==
          static_cast<long>(bytes) * 'x');
}

TEST_CASE("surroundings 94: large results that nobody reads, and their pool ends") {
    const nothing_left guard;
    std::vector<concur::future<std::vector<char>>> kept;
    {
        concur::process_pool pool(2);
        for (int i = 0; i != 60; ++i)
            kept.push_back(pool.submit(&large_value, std::size_t{1} << 20));
    }
    for (auto& one : kept) CHECK(one.get().size() == 1u << 20);
    {
        concur::process_pool pool(2);
        for (int i = 0; i != 3000; ++i) static_cast<void>(pool.submit(&large_value, 1000u));
        auto dropped = pool.map(&large_value, std::vector<std::size_t>(500, 100'000));
        CHECK(dropped.begin() != dropped.end());
    }
}

TEST_CASE("surroundings: post() and statistics need nobody who waits") {
    const nothing_left guard;
    conformance::error_log log;
    concur::process_pool pool(
        {.workers = 2, .on_error = [&log](const std::exception_ptr& error) { log(error); }});
    pool.post([] { throw std::runtime_error("posted"); });
    eventually([&] { return log.texts() == std::vector<std::string>{"posted"}; });
    auto done = pool.submit([] {});
    eventually([&] { return pool.stats().completed == 1; });
    // Behind a long task, with somebody else idle.
    const notebook book;
    for (int i = 0; i != 20; ++i) pool.submit([] {}).get();
    auto sleeper = pool.submit([] {
        for (;;) pause();
    });
    for (int i = 0; i != 10; ++i) static_cast<void>(pool.submit(&note, book.path(), i));
    eventually([&] { return book.notes().size() == 10; });
    pool.kill_workers();
}

TEST_CASE("surroundings: tasks in workers are asked to stop, by flag and by token") {
    const nothing_left guard;
    concur::process_pool pool(2);
    const notebook book;
    auto by_flag = pool.submit(
        [](const std::string& path) {
            note(path, 1);
            while (!concur::this_task::stop_requested()) usleep(100);
            return 1;
        },
        book.path());
    auto by_token = pool.submit(
        [](std::stop_token token, const std::string& path) {
            std::mutex mutex;
            std::condition_variable_any changed;
            std::unique_lock lock(mutex);
            note(path, 2);
            changed.wait(lock, token, [] { return false; });
            return 2;
        },
        book.path());
    eventually([&] { return book.notes().size() == 2; });
    auto queued = pool.submit([] { return 3; });
    CHECK(queued.cancel());
    by_token.request_stop();
    CHECK(by_token.get() == 2);
    CHECK(by_flag.wait_for(0ms) == std::future_status::timeout);
    by_flag.request_stop();
    CHECK(by_flag.get() == 1);
    CHECK(queued.cancelled());
    // What was asked before is not asked of the next task.
    for (int i = 0; i != 10; ++i)
        CHECK_FALSE(pool.submit([] {
                            return concur::this_task::stop_requested() ||
                                   concur::this_task::stop_token().stop_requested();
                        })
                        .get());
    {
        auto dropped = pool.map(
            {.chunk_size = 1},
            [](int) {
                while (!concur::this_task::stop_requested()) usleep(100);
            },
            conformance::numbers(100));
    }
    CHECK(pool.submit([] { return 4; }).get() == 4);
}

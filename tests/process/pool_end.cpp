// SPDX-License-Identifier: BSL-1.0
// However a pool, its program or its parent ends, nothing is left: rows 57 to 67, 83, 84, 86.
#include "notebook.hpp"
#include "traces.hpp"

#include "../conformance/child.hpp"

#include <doctest/doctest.h>

#include <sys/wait.h>

#include <csignal>
#include <cstdlib>
#include <memory>

using namespace process;
using conformance::eventually;
using conformance::run_in_child;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

void note_and_sleep(const std::string& path) {
    note(path, getpid());
    for (;;) pause();
}

/// Of a chunk of several items, the first one sleeps for ever.
struct sleeping_items {
    std::string path;
    int operator()(int) const {
        note_and_sleep(path);
        return 0;
    }
};

bool is_alive(int pid) {
    const auto text = file_content("/proc/" + std::to_string(pid) + "/stat");
    const auto end = text.rfind(')');
    return end != text.npos && text[end + 2] != 'Z';
}

/// The file in which hidden tests leave notes.
std::string notes_of_parent() { return std::getenv("NOTES"); }

template <class Error>
bool fails_with(const auto& future) {
    return conformance::holds<Error>(future.exception());
}

}  // namespace

TEST_CASE("end 66: kill_workers() ends tasks that sleep for hours, at once") {
    const nothing_left guard;
    for (const auto method : start_methods) {
        for (const std::size_t workers : {1u, 3u}) {
            CAPTURE(name_of(method));
            CAPTURE(workers);
            const notebook book;
            concur::process_pool pool({.workers = workers, .start = method});
            std::vector<concur::future<void>> running;
            std::vector<concur::future<int>> pending;
            for (std::size_t i = 0; i != workers; ++i)
                running.push_back(pool.submit(&note_and_sleep, book.path()));
            for (int i = 0; i != 20; ++i) pending.push_back(pool.submit([] { return 1; }));
            eventually([&] { return book.notes().size() == workers; });
            const auto start = steady_clock::now();
            pool.kill_workers();
            for (const auto& task : running) CHECK(fails_with<concur::worker_lost>(task));
            for (const auto& task : pending) {
                const auto error = task.exception();  // null: it had been done before
                CHECK((error == nullptr || conformance::holds<concur::task_cancelled>(error)));
            }
            CHECK_THROWS_AS(static_cast<void>(pool.submit([] {})), concur::executor_shut_down);
            pool.kill_workers();
            pool.shutdown();
            pool.kill_workers();
            CHECK(steady_clock::now() - start < 5s);
        }
    }
}

TEST_CASE("end 66: kill_workers() on a pool in any state") {
    const nothing_left guard;
    {
        concur::process_pool fresh(3);
        fresh.kill_workers();
    }
    {
        concur::process_pool broken({.workers = 2, .initializer = [] { throw 1; }});
        CHECK_THROWS_AS(broken.submit([] {}).get(), concur::broken_executor);
        broken.kill_workers();
    }
    for (const std::size_t chunk : {1u, 10u}) {
        CAPTURE(chunk);
        const notebook book;
        concur::process_pool pool(2);
        auto values =
            pool.map({.chunk_size = chunk}, sleeping_items{book.path()}, conformance::numbers(100))
                .outcomes();
        eventually([&] { return book.notes().size() == 2; });
        pool.kill_workers();
        std::size_t count = 0;
        for (const auto& one : values) {
            CHECK((conformance::holds<concur::worker_lost>(one.error()) ||
                   conformance::holds<concur::task_cancelled>(one.error()) ||
                   conformance::holds<concur::executor_shut_down>(one.error())));
            ++count;
        }
        CHECK(count >= 2);
    }
}

TEST_CASE("end 63: a worker that dies after shutdown() was called") {
    const nothing_left guard;
    for (const bool cancel : {false, true}) {
        CAPTURE(cancel);
        const notebook book;
        concur::process_pool pool(2);
        auto one = pool.submit(&note_and_sleep, book.path());
        auto other = pool.submit(&note_and_sleep, book.path());
        eventually([&] { return book.notes().size() == 2; });
        std::vector<concur::future<int>> queued;
        for (int i = 0; i != 10; ++i) queued.push_back(pool.submit([i] { return i; }));
        pool.shutdown({.wait = false, .cancel_pending = cancel});
        for (const long pid : book.notes()) kill(static_cast<int>(pid), SIGKILL);
        CHECK(fails_with<concur::worker_lost>(one));
        CHECK(fails_with<concur::worker_lost>(other));
        for (int i = 0; i != 10; ++i) {
            auto& task = queued[static_cast<std::size_t>(i)];
            if (cancel) {
                CHECK(fails_with<concur::task_cancelled>(task));
            } else {
                CHECK(task.get() == i);
            }
        }
        pool.shutdown();
    }
}

TEST_CASE("end 57, 61: a pool that is destroyed has finished what was queued") {
    const nothing_left guard;
    const notebook book;
    {
        concur::process_pool pool(2);
        for (int i = 0; i != 50; ++i) pool.post(&note, book.path(), i);
    }
    CHECK(book.notes().size() == 50);
    std::vector<concur::future<int>> kept;
    {
        concur::process_pool pool(2);
        for (int i = 0; i != 50; ++i) kept.push_back(pool.submit([i] { return i; }));
    }
    for (int i = 0; i != 50; ++i) CHECK(kept[static_cast<std::size_t>(i)].get() == i);
}

TEST_CASE("end 64: many pools one after another, with work and without") {
    const nothing_left guard;
    for (int i = 0; i != 60; ++i) {
        concur::process_pool pool(static_cast<std::size_t>(1 + i % 4));
        if (i % 3 == 0) continue;
        auto task = pool.submit([i] { return i; });
        if (i % 3 == 1) CHECK(task.get() == i);
    }
}

TEST_CASE("end: a pool that was made by a thread that has ended, and two pools at once") {
    const nothing_left guard;
    for (const auto method : start_methods) {
        CAPTURE(name_of(method));
        std::unique_ptr<concur::process_pool> pool;
        std::thread([&] {
            pool = std::make_unique<concur::process_pool>(
                concur::process_pool_options{.workers = 2, .start = method});
        }).join();
        concur::process_pool other(2);
        for (int i = 0; i != 50; ++i) {
            auto one = pool->submit([i] { return i; });
            CHECK(other.submit([i] { return i; }).get() == i);
            CHECK(one.get() == i);
        }
        CHECK(pool->stats().workers_lost == 0);
    }
}

TEST_CASE("hidden: ends with a static pool" * doctest::skip()) {
    static concur::process_pool pool(2);
    for (int i = 0; i != 20; ++i) pool.post(&note, notes_of_parent(), i);
    std::exit(7);
}

TEST_CASE("hidden: ends with a pool that nobody destroys" * doctest::skip()) {
    auto* const pool = new concur::process_pool(2);
    for (int i = 0; i != 4; ++i) pool->post(&note_and_sleep, notes_of_parent());
    eventually([] {
        std::ifstream file(notes_of_parent());
        long pid = 0;
        return static_cast<bool>(file >> pid >> pid);
    });
    std::exit(8);
}

TEST_CASE("end 65, 67: a program ends with static pools and leaked ones; its exit code counts") {
    const nothing_left guard;
    const notebook finished, leaked;
    auto child =
        run_in_child("hidden: ends with a static pool", {{"NOTES", finished.path().c_str()}});
    INFO(child.output);
    CHECK(WEXITSTATUS(child.status) == 7);
    CHECK(finished.notes().size() == 20);
    child = run_in_child("hidden: ends with a pool that nobody destroys",
                         {{"NOTES", leaked.path().c_str()}});
    CHECK(WEXITSTATUS(child.status) == 8);
    REQUIRE(leaked.notes().size() == 2);
    for (const long pid : leaked.notes())
        eventually([&] { return !is_alive(static_cast<int>(pid)); });
}

TEST_CASE("hidden: is killed with busy workers" * doctest::skip()) {
    concur::process_pool forkserver(2);
    concur::process_pool fork({.workers = 2, .start = concur::start_method::fork});
    concur::process_pool spawn({.workers = 2, .start = concur::start_method::spawn});
    for (auto* const pool : {&forkserver, &fork, &spawn})
        for (int i = 0; i != 10; ++i) pool->post(&note_and_sleep, notes_of_parent());
    for (;;) pause();
}

TEST_CASE("end 83: a killed program takes its workers with it") {
    const nothing_left guard;
    const notebook book;
    const pid_t child = fork();
    if (child == 0) {
        setenv("NOTES", book.path().c_str(), 1);
        execl("/proc/self/exe", "child", "--no-skip", "--test-case=hidden: is killed with*",
              static_cast<char*>(nullptr));
        _exit(127);
    }
    eventually([&] { return book.notes().size() == 6; });
    const auto all = descendants_of(child);
    CHECK(all.size() >= 6 + 3 + 1);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    for (const int pid : all) eventually([&] { return !is_alive(pid); });
    for (const long pid : book.notes()) CHECK_FALSE(is_alive(static_cast<int>(pid)));
}

TEST_CASE("hidden: waits to be interrupted" * doctest::skip()) {
    for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, SIG_DFL);
    concur::process_pool pool(2);
    for (int i = 0; i != 10; ++i) pool.post(&note_and_sleep, notes_of_parent());
    for (;;) pause();
}

TEST_CASE("end 84: one Ctrl-C ends a program with a pool") {
    const nothing_left guard;
    const notebook book;
    const pid_t child = fork();
    if (child == 0) {
        setpgid(0, 0);
        setenv("NOTES", book.path().c_str(), 1);
        execl("/proc/self/exe", "child", "--no-skip", "--test-case=hidden: waits to be*",
              static_cast<char*>(nullptr));
        _exit(127);
    }
    eventually([&] { return book.notes().size() == 2; });
    const auto all = descendants_of(child);
    kill(-child, SIGINT);
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGINT);
    for (const int pid : all) eventually([&] { return !is_alive(pid); });
}

TEST_CASE("end 84: a program that handles Ctrl-C keeps its workers and their tasks") {
    const nothing_left guard;
    const auto before = std::signal(SIGINT, SIG_IGN);
    concur::process_pool pool(2);
    const notebook book;
    auto task = pool.submit(
        [](const std::string& path) {
            note(path, getpid());
            usleep(200'000);
            return 1;
        },
        book.path());
    eventually([&] { return book.notes().size() == 1; });
    for (const int pid : descendants_of(getpid())) kill(pid, SIGINT);
    CHECK(task.get() == 1);
    CHECK(pool.stats().workers_lost == 0);
    std::signal(SIGINT, before);
}

TEST_CASE("end 86: in a child that the user forks, a pool does nothing, and harms nobody") {
    const nothing_left guard;
    for (const auto method : start_methods) {
        CAPTURE(name_of(method));
        auto* const pool = new concur::process_pool({.workers = 2, .start = method});
        const notebook book;
        auto busy = pool->submit(&note_and_sleep, book.path());
        eventually([&] { return book.notes().size() == 1; });
        const pid_t child = fork();
        if (child == 0) {
            int code = 0;
            try {
                static_cast<void>(pool->submit([] {}));
                code = 1;
            } catch (const concur::broken_executor&) {
                pool->kill_workers();
                pool->shutdown();
                delete pool;
            }
            _exit(code);
        }
        int status = 0;
        waitpid(child, &status, 0);
        CHECK(status == 0);
        CHECK(pool->submit([] { return 6; }).get() == 6);
        CHECK(busy.wait_for(0s) == std::future_status::timeout);
        CHECK(pool->stats().workers_lost == 0);
        pool->kill_workers();
        delete pool;
    }
}

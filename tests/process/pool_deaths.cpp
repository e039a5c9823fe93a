// SPDX-License-Identifier: BSL-1.0
// Workers that are killed from outside, all at once, with their parent, or cannot be replaced:
// rows 69, 77, 78, 81, 82.
#include "notebook.hpp"
#include "traces.hpp"

#include "../conformance/child.hpp"

#include <concur/wait.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <set>
#include <thread>

using namespace process;
using conformance::eventually;
using namespace std::chrono_literals;

namespace {

/// The workers of a pool, by their parent; waits until all are there. `killed` ones may still be.
int nap() {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return getpid();
}

std::vector<int> workers_of(concur::process_pool& pool, const std::vector<int>& killed = {}) {
    const int nursery = parent_of(pool.submit([] { return getpid(); }).get());
    std::vector<int> pids;
    eventually([&] {
        pids = children_of(nursery);
        std::erase_if(pids, [&](int pid) {
            return std::find(killed.begin(), killed.end(), pid) != killed.end();
        });
        return pids.size() == pool.worker_count();
    });
    // A pool gives up when too many workers in a row die before they have said anything: so all of
    // these speak first.
    std::set<int> spoke;
    while (spoke.size() < pids.size()) {
        std::vector<concur::future<int>> naps;
        for (std::size_t i = 0; i != pids.size(); ++i) naps.push_back(pool.submit(&nap));
        for (auto& one : naps) spoke.insert(one.get());
    }
    return pids;
}

int nursery_of(concur::process_pool& pool) {
    for (;;) {
        // A worker whose nursery was killed lives for a moment yet, and may take the task with it.
        const concur::task_options again{.retries = 20};
        const int nursery = parent_of(pool.submit(again, [] { return getpid(); }).get());
        if (nursery != 0) return nursery;
    }
}

void sleep_for_hours() {
    for (;;) pause();
}

/// Says that it runs, and never ends.
void note_and_sleep(const std::string& path) {
    note(path, getpid());
    sleep_for_hours();
}

struct kill_all {
    std::vector<int> pids;
    int operator()() const {
        for (const int pid : pids)
            if (pid != getpid()) kill(pid, SIGKILL);
        kill(getpid(), SIGKILL);
        return 0;
    }
};

int signal_of_lost(concur::future<void>& task) {
    try {
        task.get();
    } catch (const concur::worker_lost& lost) {
        return lost.signal();
    } catch (const std::exception& error) {
        FAIL_CHECK("another exception: " << error.what());
    }
    return 0;
}

}  // namespace

TEST_CASE("deaths 69: a worker that is killed from outside, by each signal") {
    const nothing_left guard;
    concur::process_pool pool(2);
    for (const int signal : {SIGKILL, SIGTERM, SIGQUIT, SIGUSR1, SIGPIPE, SIGHUP}) {
        CAPTURE(signal);
        const notebook book;
        auto task = pool.submit({.name = "sleeper"}, &note_and_sleep, book.path());
        eventually([&] { return book.notes().size() == 1; });
        const int pid = static_cast<int>(book.notes()[0]);
        kill(pid, signal);
        try {
            task.get();
            FAIL_CHECK("it has ended");
        } catch (const concur::worker_lost& lost) {
            CHECK(lost.pid() == pid);
            CHECK(lost.signal() == signal);
            CHECK(lost.exit_code() == -1);
            CHECK(std::string(lost.what()).find("'sleeper'") != std::string::npos);
        }
    }
    CHECK(pool.submit([] { return 1; }).get() == 1);
}

TEST_CASE("deaths 77: all workers are killed while they have nothing to do") {
    const nothing_left guard;
    for (const auto method : start_methods) {
        for (const std::size_t workers : {1u, 2u, 5u}) {
            CAPTURE(name_of(method));
            CAPTURE(workers);
            concur::process_pool pool({.workers = workers, .start = method});
            auto pids = workers_of(pool);
            for (std::size_t round = 1; round != 4; ++round) {
                for (const int pid : pids) kill(pid, SIGKILL);
                eventually([&] { return pool.stats().workers_lost == round * workers; });
                pids = workers_of(pool, pids);
            }
        }
    }
}

TEST_CASE("deaths 78: all workers kill each other at once") {
    const nothing_left guard;
    for (const std::size_t workers : {1u, 2u, 5u, 13u}) {
        CAPTURE(workers);
        concur::process_pool pool(workers);
        for (int round = 0; round != 5; ++round) {
            const auto pids = workers_of(pool);
            std::vector<concur::future<int>> tasks;
            for (std::size_t i = 0; i != workers; ++i) tasks.push_back(pool.submit(kill_all{pids}));
            for (auto& task : tasks) CHECK_THROWS_AS(task.get(), concur::worker_lost);
            CHECK(pool.submit([] { return 5; }).get() == 5);
        }
    }
}

TEST_CASE("deaths: the parent of the workers is killed") {
    const nothing_left guard;
    for (const auto method : start_methods) {
        for (const std::size_t workers : {1u, 2u, 5u}) {
            CAPTURE(name_of(method));
            CAPTURE(workers);
            concur::process_pool pool({.workers = workers, .start = method});
            for (int round = 0; round != 5; ++round) {
                const notebook book;
                std::vector<concur::future<void>> tasks;
                for (std::size_t i = 0; i != workers; ++i)
                    tasks.push_back(pool.submit(&note_and_sleep, book.path()));
                auto queued = pool.submit([] { return 4; });
                eventually([&] { return book.notes().size() == workers; });
                kill(parent_of(static_cast<int>(book.notes()[0])), SIGKILL);
                for (auto& task : tasks) CHECK(signal_of_lost(task) == SIGKILL);
                CHECK(queued.get() == 4);
            }
        }
    }
}

TEST_CASE("deaths: the parent of the workers is killed while they start, or idle") {
    const nothing_left guard;
    concur::process_pool pool(3);
    for (int round = 0; round != 10; ++round) {
        CAPTURE(round);
        const int nursery = nursery_of(pool);
        if (round % 2 == 0) {  // its workers are being replaced
            for (const int pid : children_of(nursery)) kill(pid, SIGKILL);
        }
        kill(nursery, SIGKILL);
        eventually([&] { return nursery_of(pool) != nursery; });
    }
}

TEST_CASE("deaths: a killed fork server costs nothing") {
    const nothing_left guard;
    concur::process_pool before(1);
    before.submit([] {}).get();
    for (int round = 0; round != 3; ++round) {
        kill(concur::detail::fork_server::get().pid(), SIGKILL);
        concur::process_pool pool(2);
        CHECK(pool.submit([] { return 3; }).get() == 3);
        CHECK(before.submit([] { return 4; }).get() == 4);
    }
    CHECK(before.stats().workers_lost == 0);
}

TEST_CASE("deaths 82: futures that one death has failed have exceptions of their own") {
    const nothing_left guard;
    concur::process_pool pool(2);
    const notebook book;
    auto one = pool.submit(&note_and_sleep, book.path());
    auto other = pool.submit(&note_and_sleep, book.path());
    eventually([&] { return book.notes().size() == 2; });
    kill(parent_of(static_cast<int>(book.notes()[0])), SIGKILL);
    one.wait();
    other.wait();
    CHECK(one.exception() != other.exception());
}

TEST_CASE("hidden: no process for a replacement" * doctest::skip()) {
    if (setgid(65534) != 0 || setuid(65534) != 0) _exit(77);
    const nothing_left guard;
    const rlimit none{1, 1000}, many{1000, 1000};
    for (const std::size_t workers : {1u, 3u}) {
        concur::process_pool pool(workers);
        const auto pids = workers_of(pool);
        const int nursery = parent_of(pids[0]);
        REQUIRE(prlimit(nursery, RLIMIT_NPROC, &none, nullptr) == 0);
        for (const int pid : pids) kill(pid, SIGKILL);
        const auto text = conformance::text_thrown<concur::broken_executor>([&] {
            for (;;) pool.submit([] {}).get();
        });
        CAPTURE(text);
        CHECK(text.find("could be started") != text.npos);
        CHECK(text.find("RLIMIT_NPROC") != text.npos);
        CHECK(pool.worker_count() == 0);
    }
    // As long as one worker lives, it does the work; and the others come back.
    concur::process_pool pool(3);
    const auto pids = workers_of(pool);
    const int nursery = parent_of(pids[0]);
    prlimit(nursery, RLIMIT_NPROC, &none, nullptr);
    kill(pids[0], SIGKILL);
    kill(pids[1], SIGKILL);
    eventually([&] { return pool.stats().workers_lost == 2; });
    for (int i = 0; i != 20; ++i) CHECK(pool.submit([] { return getpid(); }).get() == pids[2]);
    prlimit(nursery, RLIMIT_NPROC, &many, nullptr);
    eventually([&] { return children_of(nursery).size() == 3; });
    CHECK(pool.stats().workers_lost == 2);
}

TEST_CASE("deaths 81: without a worker and a way to start one, the pool is broken and says why") {
    if (geteuid() != 0) return;  // the limit would be that of the developer's whole session
    const auto result = conformance::run_in_child("hidden: no process for a replacement");
    INFO(result.output);
    CHECK(result.ended_well());
}

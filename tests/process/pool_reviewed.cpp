// SPDX-License-Identifier: BSL-1.0
// What reviews have found in process_pool: nobody waits for a stopped process under a lock, codecs
// run without one, what is taken back keeps its order, and names are used.
#include "traces.hpp"

#include "../conformance/across.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <thread>

using namespace process;
using conformance::door;
using conformance::eventually;
using conformance::far_blocker;
using conformance::far_gate;
using conformance::far_journal;
using conformance::pen;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

/// Ends itself as soon as the door is open.
struct die_behind {
    pen notes;
    door entrance;
    void operator()() const {
        notes.note(getpid());
        entrance.wait();
        kill(getpid(), SIGKILL);
    }
};

struct item_dies_behind {
    int fatal;
    pen notes;
    door entrance;
    int operator()(int item) const {
        if (item == fatal && concur::this_task::attempt() == 1) die_behind{notes, entrance}();
        return 10 * item;
    }
};

struct idle_for_ever {
    pen notes;
    void operator()() const {
        notes.note(getpid());
        for (;;) pause();
    }
};

/// A stopped process, until the end of the scope.
class stopped {
public:
    explicit stopped(int pid) : pid_(pid) {
        kill(pid_, SIGSTOP);
        eventually([&] { return state() == 'T'; });
    }
    ~stopped() { kill(pid_, SIGCONT); }
    stopped(const stopped&) = delete;
    stopped& operator=(const stopped&) = delete;

private:
    char state() const {
        const auto text = file_content("/proc/" + std::to_string(pid_) + "/stat");
        const auto end = text.rfind(')');
        return end == text.npos ? '?' : text[end + 2];
    }
    int pid_;
};

/// What the decoding of a `slow` does in this process; in others nothing.
void (*when_decoded)() = nullptr;
struct slow {
    int value = 0;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(value);
        if (when_decoded && value == 13) when_decoded();
    }
};
slow make_slow(int value) { return {value}; }
struct slow_behind {
    door entrance;
    slow operator()(int value) const {
        entrance.wait();
        return {value};
    }
};

/// Until a worker answers that had not before: for tests that look at the state of a fresh pool.
void warm_up(concur::process_pool& pool) {
    far_blocker all(pool);
    all.release();
}

int nursery_of(concur::process_pool& pool) {
    return parent_of(pool.submit([] { return getpid(); }).get());
}

}  // namespace

TEST_CASE("reviewed: a time limit does not need the parent of the workers") {
    const nothing_left guard;
    concur::process_pool pool(2);
    warm_up(pool);
    const far_journal book;
    const stopped nursery(nursery_of(pool));
    auto endless = pool.submit({.timeout = 50ms}, idle_for_ever{book.writer()});
    eventually([&] { return endless.done(); });
    CHECK_THROWS_AS(endless.get(), concur::timeout_error);
    for (int i = 0; i != 50; ++i) CHECK(pool.submit([i] { return i; }).get() == i);
}

TEST_CASE("reviewed: nobody waits while the parent of the workers is replaced") {
    const nothing_left guard;
    concur::process_pool pool(2);
    warm_up(pool);
    const int nursery = nursery_of(pool);
    concur::future<int> task, other;
    {
        const stopped server(concur::detail::fork_server::get().pid());
        kill(nursery, SIGKILL);
        eventually([&] { return pool.stats().workers_lost == 2; });
        // The next one cannot be made before the server goes on.
        const far_journal book;
        for (int i = 0; i != 1000; ++i) {
            auto cancelled = pool.submit([] {});
            CHECK(cancelled.cancel());
        }
        task = pool.submit([] { return 4; });
        CHECK_THROWS_AS(task.get(20ms), concur::timeout_error);
        other = pool.submit([] { return 5; });
    }
    CHECK(task.get() == 4);
    CHECK(other.get() == 5);
}

TEST_CASE("reviewed: a map is dropped while its results are being decoded") {
    const nothing_left guard;
    static std::atomic<bool> inside = false, leave = false;
    inside = leave = false;
    concur::process_pool pool(1);
    warm_up(pool);
    when_decoded = [] {
        inside = true;
        while (!leave) std::this_thread::yield();
    };
    far_gate go, hold;
    std::jthread leader;
    {
        auto map =
            pool.map({.chunk_size = 20}, slow_behind{go.entrance()}, conformance::numbers(20));
        auto behind = pool.submit([entrance = hold.entrance()] { entrance.wait(); });
        // Whoever waits reads the replies for everybody.
        leader = std::jthread([task = std::move(behind)]() mutable { task.get(); });
        go.open();
        eventually([] { return inside.load(); });
    }
    leave = true;  // not before the map has gone
    hold.open();
    leader.join();
    when_decoded = nullptr;
    CHECK(pool.submit([] { return 1; }).get() == 1);
    pool.wait_idle();
    CHECK(pool.stats().completed == 20 + 3);  // with warm_up()
}

TEST_CASE("reviewed: what is taken back from several workers keeps its order") {
    const nothing_left guard;
    concur::process_pool pool(2);
    warm_up(pool);
    for (int round = 0; round != 4; ++round) {  // such short tasks are handed out ahead
        std::vector<concur::future<int>> tasks;
        for (int i = 0; i != 5000; ++i) tasks.push_back(pool.submit([i] { return i; }));
        for (auto& task : tasks) task.get();
    }
    conformance::journal cancelled;
    {
        far_blocker busy(pool);
        std::vector<concur::future<void>> tasks;
        for (int i = 0; i != 100; ++i) {
            tasks.push_back(pool.submit([] {}));
            tasks.back().add_done_callback([&cancelled, i] { cancelled.note(i); });
        }
        pool.shutdown({.wait = false, .cancel_pending = true});
        for (auto& task : tasks) CHECK(task.cancelled());
    }
    pool.shutdown();
    CHECK(cancelled.entries() == conformance::numbers(100));
}

TEST_CASE("reviewed: a worker that dies during shutdown() is counted") {
    const nothing_left guard;
    for (const bool cancel : {false, true}) {
        CAPTURE(cancel);
        concur::process_pool pool(2);
        const far_journal book;
        far_gate gate;
        auto task = pool.submit(die_behind{book.writer(), gate.entrance()});
        eventually([&] { return book.size() == 1; });
        pool.shutdown({.wait = false, .cancel_pending = cancel});
        gate.open();
        CHECK_THROWS_AS(task.get(), concur::worker_lost);
        CHECK(pool.stats().workers_lost == 1);
        pool.shutdown();
        CHECK(pool.stats().workers_lost == 1);
    }
}

TEST_CASE("reviewed: wait_idle() while a thread completes tasks of two pools") {
    const nothing_left guard;
    static concur::process_pool* outer = nullptr;
    static std::atomic<int> refused = 0;
    refused = 0;
    concur::process_pool one(1), other(1);
    warm_up(one);
    warm_up(other);
    outer = &one;
    std::atomic<bool> called = false;
    far_gate gate;
    auto task = one.submit([entrance = gate.entrance()] { entrance.wait(); });
    task.add_done_callback([&] {
        when_decoded = [] {
            try {
                outer->wait_idle();
            } catch (const concur::would_deadlock&) {
                ++refused;
            }
            try {
                outer->shutdown();
            } catch (const concur::would_deadlock&) {
                ++refused;
            }
        };
        CHECK(other.submit(&make_slow, 13).get().value == 13);
        when_decoded = nullptr;
        called = true;
    });
    gate.open();
    eventually([&] { return called.load(); });
    CHECK(refused == 2);
}

TEST_CASE("reviewed: items behind a lost one had started, so cancel_pending spares them") {
    const nothing_left guard;
    for (const int retries : {0, 1}) {
        CAPTURE(retries);
        concur::process_pool pool(1);
        const far_journal book;
        far_gate gate;
        auto map =
            pool.map({.chunk_size = 10, .retries = retries},
                     item_dies_behind{3, book.writer(), gate.entrance()}, conformance::numbers(10));
        auto pending = pool.submit([] {});
        eventually([&] { return book.size() == 1; });
        pool.shutdown({.wait = false, .cancel_pending = true});
        CHECK(pending.cancelled());
        gate.open();
        int i = 0;
        for (const auto& result : map.outcomes()) {
            CAPTURE(i);
            if (i == 3 && retries == 0) {
                CHECK(conformance::holds<concur::worker_lost>(result.error()));
            } else {
                CHECK((result.has_value() && *result == 10 * i));
            }
            ++i;
        }
        CHECK(i == 10);
    }
}

TEST_CASE("reviewed: the name of a pool is that of its threads and processes, and in its errors") {
    const nothing_left guard;
    for (const auto method : start_methods) {
        CAPTURE(name_of(method));
        concur::process_pool pool({.workers = 3, .name = "sums", .start = method});
        warm_up(pool);
        const far_journal book;
        const int pid = pool.submit([] { return getpid(); }).get();
        std::vector<std::string> names;
        for (const int child : children_of(parent_of(pid)))
            names.push_back(file_content("/proc/" + std::to_string(child) + "/comm"));
        std::sort(names.begin(), names.end());
        CHECK(names == std::vector<std::string>{"sums/0\n", "sums/1\n", "sums/2\n"});
        eventually([] {  // the pool's own thread, as soon as it runs
            for (const auto& thread : conformance::live_threads())
                if (file_content("/proc/self/task/" + thread + "/comm") == "sums\n") return true;
            return false;
        });
        const auto lost = conformance::text_thrown<concur::worker_lost>(
            [&] { pool.submit([] { kill(getpid(), SIGKILL); }).get(); });
        CAPTURE(lost);
        CHECK(lost.find("sums/") != lost.npos);
    }
    concur::process_pool pool(
        {.name = "broken", .initializer = [] { throw std::runtime_error("no licence"); }});
    const auto text = conformance::text_thrown<concur::broken_executor>([&] {
        for (;;) pool.submit([] {}).get();
    });
    CAPTURE(text);
    CHECK(text.find("'broken'") != text.npos);
    CHECK(text.find("no licence") != text.npos);
}

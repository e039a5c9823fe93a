// SPDX-License-Identifier: BSL-1.0
// shared_array between processes, and what is left of it when they are killed: rows 88 and 89.
#include "notebook.hpp"
#include "traces.hpp"

#include "../conformance/child.hpp"
#include "../sanitizers.hpp"

#include <concur/callable.hpp>
#include <concur/shared_array.hpp>

#include <doctest/doctest.h>

#include <fcntl.h>

#include <chrono>
#include <csignal>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

using namespace process;
using concur::shared_array;
using conformance::eventually;
using namespace std::chrono_literals;

namespace {

/// As nothing_left; what this process keeps for its next arrays is given back on both sides.
class nothing_shared_left {
public:
    explicit nothing_shared_left(std::chrono::seconds limit = 60s) : rest_(limit) {}
    ~nothing_shared_left() { concur::detail::shared_registry::get().trim(); }

private:
    struct trimmed {
        trimmed() { concur::detail::shared_registry::get().trim(); }
    } first_;
    nothing_left rest_;
};
// Members go after the body of a destructor: so trim() comes before the comparison.

std::string error_of(auto&& f) {
    try {
        f();
    } catch (const std::exception& e) {
        return e.what();
    }
    return "";
}

bool says(const std::string& text, const char* part) { return text.find(part) != text.npos; }

/// Watches the pages of an array without a handle.
class spy {
public:
    explicit spy(const void* data) {
        for (int fd = 3; fd != 1024 && file_ < 0; ++fd) {
            struct stat file{};
            if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) continue;
            unsigned long inode = 0;
            std::FILE* const maps = std::fopen("/proc/self/maps", "re");
            char line[512];
            while (std::fgets(line, sizeof line, maps)) {
                unsigned long from = 0, to = 0;
                if (std::sscanf(line, "%lx-%lx %*s %*s %*s %lu", &from, &to, &inode) == 3 &&
                    reinterpret_cast<unsigned long>(data) >= from &&
                    reinterpret_cast<unsigned long>(data) < to && inode == file.st_ino) {
                    file_ = fcntl(fd, F_DUPFD_CLOEXEC, 3);
                    break;
                }
            }
            std::fclose(maps);
        }
        REQUIRE(file_ >= 0);
    }
    spy(const spy&) = delete;
    spy& operator=(const spy&) = delete;
    ~spy() { close(file_); }
    /// Bytes that exist, without the page of words.
    std::size_t bytes() const {
        struct stat file{};
        REQUIRE(fstat(file_, &file) == 0);
        const auto all = static_cast<std::size_t>(file.st_blocks) * 512;
        return all > 4096 ? all - 4096 : 0;
    }

private:
    int file_ = -1;
};

long sum(const shared_array<const int>& a) { return std::accumulate(a.begin(), a.end(), 0L); }
long sum_of(shared_array<int> a) { return std::accumulate(a.begin(), a.end(), 0L); }
void set(shared_array<int> a, std::size_t i, int value) { a[i] = value; }
shared_array<int> make(int n) { return shared_array<int>(n, n); }
shared_array<int> same(shared_array<int> a) { return a; }

struct nested {
    std::vector<shared_array<int>> arrays;
    std::string text;
};
long sum_nested(const nested& n) {
    long all = static_cast<long>(n.text.size());
    for (const auto& a : n.arrays) all += sum(a);
    return all;
}
struct adder {
    shared_array<int> a;
    long operator()(std::size_t i) const { return a[i]; }
};
struct maker {
    shared_array<int> seen;
    shared_array<int> operator()(int n) const {
        seen[0] = n;
        return shared_array<int>(3, n);
    }
};

long sum_in_nested_pool(shared_array<int> a) {
    concur::process_pool inner(1);
    auto made = inner.submit(&make, 5).get();
    return inner.submit(&sum_of, a).get() + inner.submit(&sum_of, made).get();
}

shared_array<int> kept;
void keep(shared_array<int> a) { kept = std::move(a); }
long sum_kept() { return sum(kept); }

/// Dies the first time.
long sum_at_second_try(shared_array<int> a) {
    if (std::exchange(a[0], 100) != 100) raise(SIGKILL);
    return sum(a);
}

using flag = concur::shared_object<std::atomic<int>>;

/// Until somebody sets it.
void wait_for(const flag& f, int value) {
    while (f->load() != value) std::this_thread::sleep_for(1ms);
}
void open_and_wait(flag runs, flag may_end) {
    *runs = getpid();
    wait_for(may_end, 1);
}
void sleep_for_hours(flag runs) {
    *runs = getpid();
    for (;;) pause();
}
int pid_of(const flag& runs) {
    eventually([&] { return runs->load() != 0; });
    return runs->load();
}

}  // namespace

TEST_CASE("a handle crosses as an argument, with every start method") {
    for (const auto method : start_methods) {
        CAPTURE(std::string(name_of(method)));
        nothing_shared_left around;
        shared_array<int> early(1000, 1);
        concur::process_pool pool({.workers = 2, .start = method});
        shared_array<int> a(1000, 2);
        CHECK(pool.submit(&sum_of, early).get() == 1000);
        CHECK(pool.submit(&sum_of, a).get() == 2000);
        pool.submit(&set, a, 5u, 12).get();
        CHECK(a[5] == 12);
        pool.submit(&set, early, 7u, 11).get();
        CHECK(early[7] == 11);
        CHECK(pool.submit(&sum_of, shared_array<int>()).get() == 0);
        CHECK(pool.submit(&sum, shared_array<const int>(a)).get() == 2010);
        CHECK(pool.submit(&sum_nested, nested{{a, early, a}, "12345"}).get() == 5035);
        CHECK(pool.submit(adder{a}, 5u).get() == 12);
        CHECK(pool.submit(concur::partial(&sum_of, a)).get() == 2010);
        if (tests::under_tsan && method == concur::start_method::fork)
            continue;  // no threads there
        CHECK(pool.submit(&sum_in_nested_pool, a).get() == 2035);
        CHECK(pool.submit(&sum_in_nested_pool, early).get() == 1035);
    }
}

TEST_CASE("a handle crosses in maps: in the function, in the items, in the results") {
    nothing_shared_left around;
    concur::process_pool pool(2);
    shared_array<int> a(100);
    std::iota(a.begin(), a.end(), 0);
    std::vector<std::size_t> places(100);
    std::iota(places.begin(), places.end(), 0u);
    long all = 0;
    for (const long value : pool.map(adder{a}, places)) all += value;
    CHECK(all == 4950);
    const std::vector<shared_array<int>> arrays(50, a);
    for (const long value : pool.map(&sum_of, arrays)) CHECK(value == 4950);
    std::vector<int> sizes(40);
    std::iota(sizes.begin(), sizes.end(), 1);
    int n = 0;
    for (const auto& made : pool.map(&make, sizes)) {
        ++n;
        CHECK(sum(made) == n * n);
    }
    const auto made = pool.map(maker{a}, sizes).collect();
    CHECK(made.size() == 40);
    CHECK(made[39][2] == 40);
    CHECK(pool.map_reduce([](const shared_array<int>& x) { return sum(x); },
                          [](long x, long y) { return x + y; }, arrays, 0L) == 50 * sum(a));
}

TEST_CASE("a result's memory outlives its worker, with every start method") {
    for (const auto method : start_methods) {
        CAPTURE(std::string(name_of(method)));
        nothing_shared_left around;
        concur::process_pool pool({.workers = 1, .max_tasks_per_worker = 1, .start = method});
        auto first = pool.submit(&make, 1000);
        auto second = pool.submit(&make, 2000);
        auto a = first.get();
        auto b = second.get();
        CHECK(sum(a) == 1000 * 1000);
        CHECK(sum(b) == 2000 * 2000);
        CHECK(pool.submit(&sum_of, a).get() == 1000 * 1000);
        CHECK(pool.submit(&same, a).get().data() == a.data());
    }
}

TEST_CASE("a result's memory outlives a worker that is killed behind its reply") {
    nothing_shared_left around;
    concur::process_pool pool(1);
    for (int i = 1; i != 20; ++i) {
        flag runs(0);
        auto made = pool.submit(&make, i * 100);
        auto last = pool.submit(&sleep_for_hours, runs);
        kill(pid_of(runs), SIGKILL);
        CHECK_THROWS_AS(last.get(), concur::worker_lost);
        CHECK(sum(made.get()) == i * 100 * i * 100);
    }
}

TEST_CASE("a handle on its way keeps the memory") {
    nothing_shared_left around;
    concur::process_pool pool(1);
    flag runs(0), may_end(0);
    auto busy = pool.submit(&open_and_wait, runs, may_end);
    pid_of(runs);
    std::vector<concur::future<long>> sums;
    for (int i = 0; i != 50; ++i) {
        sums.push_back(pool.submit(&sum_of, shared_array<int>(1000, i)));
        shared_array<int> another(1000, 77);  // would be made of the same memory
    }
    auto returned = pool.submit(&same, shared_array<int>(10, 4));
    *may_end = 1;
    for (int i = 0; i != 50; ++i) CHECK(sums[static_cast<std::size_t>(i)].get() == 1000 * i);
    CHECK(sum(returned.get()) == 40);
    pool.wait_idle();
}

TEST_CASE("calls that never run let go of the memory") {
    nothing_shared_left around;
    shared_array<int> a(100000, 1);
    spy pages(a.data());
    flag runs(0), may_end(0);
    {
        concur::process_pool pool(1);
        auto busy = pool.submit(&open_and_wait, runs, may_end);
        pid_of(runs);
        std::vector<concur::future<long>> sums;
        for (int i = 0; i != 30; ++i) sums.push_back(pool.submit(&sum_of, a));
        a = {};
        for (int i = 0; i != 10; ++i) CHECK(sums[static_cast<std::size_t>(i)].cancel());
        CHECK(pages.bytes() >= 400000);
        pool.shutdown({.wait = false, .cancel_pending = true});
        for (auto& one : sums) CHECK(one.cancelled());
        concur::detail::shared_registry::get().trim();
        CHECK(pages.bytes() == 0);
        *may_end = 1;
        busy.get();
    }
    {
        concur::process_pool pool(1);
        shared_array<int> b(100000, 1);
        spy others(b.data());
        *runs = 0;
        auto stuck = pool.submit(&sleep_for_hours, runs);
        pid_of(runs);
        auto waits = pool.submit(&sum_of, b);
        auto held = pool.submit(&sum_of, std::move(b));
        pool.kill_workers();
        CHECK_THROWS_AS(stuck.get(), concur::worker_lost);
        CHECK_THROWS_AS(held.get(), concur::task_cancelled);
        concur::detail::shared_registry::get().trim();
        CHECK(others.bytes() == 0);
    }
}

TEST_CASE("a retried call still has its array") {
    nothing_shared_left around;
    concur::process_pool pool(1);
    shared_array<int> a(10, 1);
    CHECK(pool.submit({.retries = 2}, &sum_at_second_try, std::move(a)).get() == 109);
}

TEST_CASE("the memory goes with the last handle, although workers keep their mapping") {
    nothing_shared_left around;
    concur::process_pool pool(2);
    auto& registry = concur::detail::shared_registry::get();
    SUBCASE("of a call") {
        shared_array<int> a(100000, 1);
        spy pages(a.data());
        for (int i = 0; i != 10; ++i) CHECK(pool.submit(&sum_of, a).get() == 100000);
        CHECK(pages.bytes() >= 400000);
        pool.wait_idle();
        a = {};
        registry.trim();
        CHECK(pages.bytes() == 0);
    }
    SUBCASE("of a map's function, which workers keep") {
        shared_array<int> a(100000, 1);
        spy pages(a.data());
        const std::vector<std::size_t> places(100, 5);
        CHECK(pool.map(adder{a}, places).collect().size() == 100);
        pool.wait_idle();
        a = {};
        registry.trim();
        CHECK(pages.bytes() == 0);
    }
    SUBCASE("of a result") {
        auto a = pool.submit(&make, 100000).get();
        spy pages(a.data());
        CHECK(pages.bytes() >= 400000);
        pool.wait_idle();
        a = {};
        CHECK(pages.bytes() == 0);
    }
    SUBCASE("of a result that nobody asked for") {
        shared_array<int> place(1);
        {
            auto unread = pool.submit(&make, 1000);
        }
        pool.wait_idle();
    }
    SUBCASE("a worker holds it") {
        shared_array<int> a(100000, 1);
        spy pages(a.data());
        concur::process_pool one(1);
        one.submit(&keep, std::move(a)).get();
        one.wait_idle();
        registry.trim();
        CHECK(pages.bytes() >= 400000);
        CHECK(one.submit(&sum_kept).get() == 100000);
        one.submit(&keep, shared_array<int>()).get();
        CHECK(pages.bytes() == 0);
    }
    SUBCASE("a worker was killed that held it") {
        shared_array<int> a(100000, 1);
        spy pages(a.data());
        concur::process_pool one(1);
        one.submit(&keep, a).get();
        CHECK_THROWS_AS(one.submit([] { raise(SIGKILL); }).get(), concur::worker_lost);
        one.submit([] {}).get();  // another one is there: the first is no more
        a = {};
        registry.trim();
        CHECK(pages.bytes() == 0);
    }
}

TEST_CASE("memory is not used again while a worker holds it") {
    nothing_shared_left around;
    concur::process_pool pool(1);
    shared_array<int> a(1000, 1);
    pool.submit(&keep, std::move(a)).get();
    shared_array<int> b(1000, 2);
    CHECK(pool.submit(&sum_kept).get() == 1000);
    CHECK(pool.submit(&sum_of, b).get() == 2000);
    pool.submit(&keep, shared_array<int>()).get();
}

TEST_CASE("more results than fit into a socket") {
    nothing_shared_left around;
    rlimit files{};
    REQUIRE(getrlimit(RLIMIT_NOFILE, &files) == 0);
    const auto before = files;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    {
        concur::process_pool pool(2);
        std::vector<concur::future<shared_array<int>>> made;
        for (int i = 1; i != 801; ++i) made.push_back(pool.submit(&make, i));
        for (int i = 1; i != 801; ++i) {
            CHECK(sum(made[static_cast<std::size_t>(i - 1)].get()) == i * i);
        }
        concur::detail::shared_registry::get().trim();
    }
    setrlimit(RLIMIT_NOFILE, &before);
}

TEST_CASE("a read-only view is read-only in a worker") {
    nothing_shared_left around;
    concur::process_pool pool(1);
    shared_array<int> a(10, 1);
    auto task =
        pool.submit([](const shared_array<const int>& view) { const_cast<int&>(view[0]) = 2; },
                    shared_array<const int>(a));
    CHECK_THROWS_AS(task.get(), concur::worker_lost);
    CHECK(a[0] == 1);
    pool.submit(&set, a, 0u, 3).get();  // with a handle that may
    CHECK(a[0] == 3);
}

TEST_CASE("a handle to what is gone costs that future only") {
    nothing_shared_left around;
    concur::process_pool pool(1);
    auto read = [](const std::vector<std::byte>& bytes) {
        return sum_of(concur::decode<shared_array<int>>(bytes));
    };
    std::vector<std::byte> bytes;
    {
        shared_array<int> a(10, 1);
        bytes = concur::encode(a);
        CHECK(pool.submit(read, bytes).get() == 10);
    }
    shared_array<int> other(10, 2);
    const auto text = error_of([&] { pool.submit(read, bytes).get(); });
    CHECK_MESSAGE(says(text, "no longer exists"), text);
    CHECK_THROWS_AS(pool.submit(read, bytes).get(), concur::codec_error);
    CHECK(pool.submit(&sum_of, other).get() == 20);
}

namespace {
shared_array<int> made_before_the_pool;
}

TEST_CASE("start_method::fork: workers see the arrays of the moment when the pool was made") {
    nothing_shared_left around;
    made_before_the_pool = shared_array<int>(100, 3);
    {
        concur::process_pool pool({.workers = 1, .start = concur::start_method::fork});
        auto look = [] { return sum_of(made_before_the_pool); };
        CHECK(pool.submit(look).get() == 300);
        made_before_the_pool[0] = 4;
        CHECK(pool.submit(look).get() == 301);
        auto back = pool.submit([] { return made_before_the_pool; }).get();
        CHECK(back.data() == made_before_the_pool.data());
        back = {};
        made_before_the_pool = {};
        CHECK(pool.submit(look).get() == 301);
    }
}

TEST_CASE("an initializer's array") {
    nothing_shared_left around;
    shared_array<int> a(10, 5);
    {
        concur::process_pool pool(
            {.workers = 1, .initializer = concur::partial(&keep, std::move(a))});
        CHECK(pool.submit(&sum_kept).get() == 50);
        CHECK_THROWS_AS(pool.submit([] { raise(SIGKILL); }).get(), concur::worker_lost);
        CHECK(pool.submit(&sum_kept).get() == 50);
    }
}

TEST_CASE("workers are killed while handles go to and fro") {
    nothing_shared_left around(120s);
    concur::process_pool pool(2);
    shared_array<int> a(1000, 1);
    const int nursery = parent_of(pool.submit([] { return getpid(); }).get());
    std::mt19937 random(7);
    int lost = 0;
    for (int round = 0; round != 40; ++round) {
        std::vector<concur::future<long>> sums;
        std::vector<concur::future<shared_array<int>>> arrays;
        for (int i = 0; i != 10; ++i) {
            sums.push_back(pool.submit({.retries = 100}, &sum_of, a));
            arrays.push_back(pool.submit({.retries = 100}, &make, 10 + i));
            sums.push_back(pool.submit({.retries = 100}, &sum_of, shared_array<int>(10, 1)));
        }
        const auto workers = children_of(nursery);
        if (!workers.empty()) kill(workers[random() % workers.size()], SIGKILL);
        for (std::size_t i = 0; i != 10; ++i) {
            CHECK(sums[2 * i].get() == 1000);
            CHECK(sums[2 * i + 1].get() == 10);
            const auto got = arrays[i].get();
            CHECK(sum(got) == static_cast<long>((10 + i) * (10 + i)));
        }
        lost = static_cast<int>(pool.stats().workers_lost);
    }
    CHECK(lost > 0);
}

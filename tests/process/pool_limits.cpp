// SPDX-License-Identifier: BSL-1.0
// Tasks that run too long are ended with their worker, lost ones are run again if they may be, and
// a lost item of a map costs that item: rows 126, 127, 150.
#include "notebook.hpp"
#include "traces.hpp"

#include <doctest/doctest.h>

#include <csignal>
#include <set>

using namespace process;
using conformance::eventually;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

[[noreturn]] void die() {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

void loop_for_ever() {
    volatile unsigned counted = 0;
    for (;;) counted = counted + 1;
}

void stop_itself() { raise(SIGSTOP); }

int die_until(const std::string& path, int attempt) {
    note(path, concur::this_task::attempt());
    if (concur::this_task::attempt() < attempt) die();
    return attempt;
}

/// What a map does with one item, and its notes of what has begun.
struct items {
    std::string path;
    int fatal = -1;    ///< dies
    int endless = -1;  ///< never ends
    int attempts = 1;  ///< so many die

    int operator()(int item) const {
        note(path, item);
        if (item == fatal && concur::this_task::attempt() <= attempts) die();
        if (item == endless) loop_for_ever();
        return 10 * item;
    }
};

/// Large results, of any size.
struct large_items {
    int every;
    std::vector<int> operator()(int item) const {
        if (item % every == every - 1) die();
        return std::vector<int>(static_cast<std::size_t>(item) * 100, item);
    }
};

template <class Error>
bool is(const std::exception_ptr& error) {
    return conformance::holds<Error>(error);
}

}  // namespace

TEST_CASE("limits 126: a task that never ends is ended, and nothing else") {
    const nothing_left guard;
    for (const auto method : start_methods) {
        for (const std::size_t workers : {1u, 2u}) {
            CAPTURE(name_of(method));
            CAPTURE(workers);
            concur::process_pool pool({.workers = workers, .start = method});
            for (const auto task : {&loop_for_ever, &stop_itself}) {
                const auto start = steady_clock::now();
                auto endless = pool.submit({.name = "endless", .timeout = 100ms}, task);
                std::vector<concur::future<int>> others;
                for (int i = 0; i != 10; ++i) others.push_back(pool.submit([i] { return i; }));
                const auto text =
                    conformance::text_thrown<concur::timeout_error>([&] { endless.get(); });
                CHECK(steady_clock::now() - start >= 100ms);
                CHECK(steady_clock::now() - start < 20s);
                CHECK(text.find("'endless'") != text.npos);
                CHECK(text.find("0.1 s") != text.npos);
                for (int i = 0; i != 10; ++i) CHECK(others[static_cast<std::size_t>(i)].get() == i);
            }
        }
    }
}

TEST_CASE("limits 126: the limit counts from the start of the task, and spares who keeps it") {
    const nothing_left guard;
    concur::process_pool pool(1);
    auto first = pool.submit([] { usleep(150'000); });
    std::vector<concur::future<int>> timed;
    for (int i = 0; i != 20; ++i)
        timed.push_back(pool.submit({.timeout = 100ms}, [i] { return usleep(10'000), i; }));
    first.get();
    for (int i = 0; i != 20; ++i) CHECK(timed[static_cast<std::size_t>(i)].get() == i);
    CHECK(pool.stats().workers_lost == 0);
}

TEST_CASE("limits 126: an item that never ends, in a chunk of several and alone") {
    const nothing_left guard;
    for (const std::size_t chunk : {1u, 4u, 20u}) {
        CAPTURE(chunk);
        const notebook book;
        concur::process_pool pool(2);
        auto results = pool.map({.chunk_size = chunk, .timeout = 100ms}, items{book.path(), -1, 7},
                                conformance::numbers(20))
                           .outcomes()
                           .collect();
        REQUIRE(results.size() == 20);
        for (int i = 0; i != 20; ++i) {
            const auto& result = results[static_cast<std::size_t>(i)];
            CAPTURE(i);
            CHECK(book.count(i) == 1);
            if (i == 7) {
                CHECK(is<concur::timeout_error>(result.error()));
            } else {
                REQUIRE(result.has_value());
                CHECK(*result == 10 * i);
            }
        }
        CHECK(pool.stats().workers_lost == 1);
    }
}

TEST_CASE("limits 150: a lost task is run again as often as it may be, and not by itself") {
    const nothing_left guard;
    for (const std::size_t workers : {1u, 3u}) {
        CAPTURE(workers);
        concur::process_pool pool(workers);
        const notebook enough, few, none, late;
        auto a = pool.submit({.retries = 2}, &die_until, enough.path(), 3);
        auto b = pool.submit({.retries = 1}, &die_until, few.path(), 3);
        auto c = pool.submit(&die_until, none.path(), 3);
        auto d = pool.submit(
            {.timeout = 100ms, .retries = 3},
            [](const std::string& path) {
                note(path, concur::this_task::attempt());
                loop_for_ever();
            },
            late.path());
        CHECK(a.get() == 3);
        CHECK_THROWS_AS(b.get(), concur::worker_lost);
        CHECK_THROWS_AS(c.get(), concur::worker_lost);
        CHECK_THROWS_AS(d.get(), concur::timeout_error);
        CHECK(enough.notes() == std::vector<long>{1, 2, 3});
        CHECK(few.notes() == std::vector<long>{1, 2});
        CHECK(none.notes() == std::vector<long>{1});
        CHECK(late.notes() == std::vector<long>{1});
        CHECK(pool.stats().workers_lost == 2 + 2 + 1 + 1);
        CHECK(pool.stats().failed == 3);
    }
}

TEST_CASE("limits 150: what was asked to stop is not run again") {
    const nothing_left guard;
    concur::process_pool pool(1);
    const notebook book;
    auto task = pool.submit({.retries = 1'000'000}, &die_until, book.path(), 2'000'000);
    eventually([&] { return book.notes().size() >= 3; });
    task.request_stop();
    task.wait();
    const auto times = book.notes().size();
    CHECK((is<concur::worker_lost>(task.exception()) ||
           is<concur::task_cancelled>(task.exception())));
    CHECK(pool.submit([] { return 1; }).get() == 1);
    CHECK(book.notes().size() == times);
}

TEST_CASE("limits: an item that is lost in a chunk costs that item, and each runs once") {
    const nothing_left guard;
    for (const std::size_t chunk : {1u, 5u, 40u}) {
        for (const int fatal : {0, 7, 14, 39}) {
            for (const int retries : {0, 1}) {
                CAPTURE(chunk);
                CAPTURE(fatal);
                CAPTURE(retries);
                const notebook book;
                concur::process_pool pool(2);
                auto results = pool.map({.chunk_size = chunk, .retries = retries},
                                        items{book.path(), fatal}, conformance::numbers(40))
                                   .outcomes()
                                   .collect();
                REQUIRE(results.size() == 40);
                for (int i = 0; i != 40; ++i) {
                    const auto& result = results[static_cast<std::size_t>(i)];
                    CAPTURE(i);
                    CHECK(book.count(i) == (i == fatal && retries == 1 ? 2 : 1));
                    if (i == fatal && retries == 0) {
                        CHECK(is<concur::worker_lost>(result.error()));
                    } else {
                        CHECK((result.has_value() && *result == 10 * i));
                    }
                }
                CHECK(pool.stats().workers_lost == 1);
                CHECK(pool.stats().completed == (retries == 1 ? 40u : 39u));
                CHECK(pool.stats().failed == (retries == 1 ? 0u : 1u));
            }
        }
    }
}

TEST_CASE("limits: many lost items in one map, with large results") {
    const nothing_left guard;
    for (const int every : {2, 5}) {
        CAPTURE(every);
        concur::process_pool pool(3);
        int i = 0;
        for (auto& result :
             pool.map({.chunk_size = 16}, large_items{every}, conformance::numbers(200))
                 .outcomes()
                 .collect()) {
            if (i % every == every - 1) {
                CHECK(is<concur::worker_lost>(result.error()));
            } else {
                CHECK((result.has_value() &&
                       *result == std::vector<int>(static_cast<std::size_t>(i) * 100, i)));
            }
            ++i;
        }
        CHECK(i == 200);
        CHECK(pool.stats().workers_lost == static_cast<std::size_t>(200 / every));
    }
}

TEST_CASE("limits: a lost item ends a map that is read as values, behind what came before it") {
    const nothing_left guard;
    const notebook book;
    concur::process_pool pool(2);
    auto values = pool.map({.chunk_size = 10}, items{book.path(), 13}, conformance::numbers(1000));
    const auto read = conformance::drain<int>(values);
    CHECK(read.values.size() == 13);
    CHECK(is<concur::worker_lost>(read.error));
    CHECK_THROWS_AS(pool.for_each(items{book.path(), 3}, conformance::numbers(10)),
                    concur::worker_lost);
    std::set<std::size_t> seen;
    for (auto&& [i, result] :
         pool.map_unordered({.chunk_size = 3}, items{book.path(), 5}, conformance::numbers(50))
             .outcomes()) {
        CHECK(result.has_value() == (i != 5));
        seen.insert(i);
    }
    CHECK(seen.size() == 50);
}

// SPDX-License-Identifier: BSL-1.0
// A task that goes wrong in any place and way costs that task: rows 69, 70, 71, 74, 77, 79, 98.
#include "traces.hpp"
#include "ways_to_die.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <string>

using namespace process;
using conformance::eventually;

namespace {

enum class place { decode, run, encode, destroy };
constexpr place places[] = {place::decode, place::run, place::encode, place::destroy};

const char* name_of(place where) {
    constexpr const char* names[] = {"decode", "run", "encode", "destroy"};
    return names[static_cast<int>(where)];
}

int encodings = 0;

/// A result whose second half is never written.
struct outcome_of_bomb {
    place where = place::run;
    way how = way::throws;
    int home = 0;

    template <class A>
    void serialize(A& ar) {
        ar(where, how);
        if constexpr (!A::is_loading::value) {
            // The first pass measures, the second one writes.
            if (where == place::encode && getpid() != home && ++encodings % 2 == 0) die(how);
        }
        ar(home);
    }
};

/// An argument that goes off in other processes than `home`.
struct bomb {
    place where = place::run;
    way how = way::throws;
    int home = 0;

    bomb() = default;
    bomb(place where_, way how_) : where(where_), how(how_), home(getpid()) {}
    bomb(const bomb&) = default;
    bomb& operator=(const bomb&) = default;
    ~bomb() {
        if (where == place::destroy && getpid() != home) die(how);
    }

    template <class A>
    void serialize(A& ar) {
        ar(where, how, home);
        if constexpr (A::is_loading::value) {
            if (where == place::decode && getpid() != home) die(how);
        }
    }
};

outcome_of_bomb carry(bomb b) {
    if (b.where == place::run) die(b.how);
    return {b.where, b.how, b.home};
}

/// An exception out of a destructor ends the process.
bool survives(place where, way how) {
    return where != place::destroy && (how == way::throws || how == way::throws_int);
}

void check_lost(const concur::worker_lost& lost, place where, way how) {
    const bool thrown = how == way::throws || how == way::throws_int;
    const int signal = thrown ? SIGABRT : signal_of(how);
    CHECK_FALSE(survives(where, how));
    CHECK(lost.signal() == signal);
    CHECK(lost.exit_code() == (thrown ? -1 : exit_code_of(how)));
    CHECK(lost.pid() > 0);
    CHECK(lost.pid() != getpid());
    const std::string text = lost.what();
    CHECK(text.find(std::to_string(lost.pid())) != text.npos);
    CHECK(text.find("'the bomb'") != text.npos);
    CHECK(text.find(signal != 0 ? strsignal(signal) : "exited with code") != text.npos);
}

void check_bomb(concur::process_pool& pool, place where, way how) {
    CAPTURE(name_of(where));
    CAPTURE(name_of(how));
    const auto lost_before = pool.stats().workers_lost;
    std::vector<concur::future<int>> others;
    const auto add_others = [&] {
        for (int i = 0; i != 5; ++i) others.push_back(pool.submit([](int n) { return n; }, i));
    };
    const int worker = pool.worker_count() == 1 ? pool.submit([] { return getpid(); }).get() : 0;
    add_others();
    auto task = pool.submit({.name = "the bomb"}, &carry, bomb(where, how));
    add_others();
    try {
        static_cast<void>(task.get());
        FAIL_CHECK("the task has a value");
    } catch (const concur::worker_lost& lost) {
        check_lost(lost, where, how);
        if (worker != 0) CHECK(lost.pid() == worker);
    } catch (const std::out_of_range& error) {
        CHECK((how == way::throws && survives(where, how)));
        CHECK(std::string(error.what()) == "thrown");
        REQUIRE(concur::origin_of(error) != nullptr);
        if (worker != 0) CHECK(concur::origin_of(error)->pid() == worker);
    } catch (const std::exception& error) {
        CHECK((how == way::throws_int && survives(where, how)));
        REQUIRE(concur::origin_of(error) != nullptr);
        CHECK(concur::origin_of(error)->type_name() == "int");
    }
    for (std::size_t i = 0; i != others.size(); ++i)
        CHECK(others[i].get() == static_cast<int>(i % 5));
    CHECK(pool.submit([] { return 7; }).get() == 7);
    CHECK(pool.stats().workers_lost == lost_before + (survives(where, how) ? 0 : 1));
}

/// Set by a task: what the worker does when it gets a signal.
way next_way = way::exits;

/// A worker that has nothing to do dies, and another one takes its place without being asked for.
void check_idle(concur::process_pool& pool, way how) {
    CAPTURE(name_of(how));
    const auto lost_before = pool.stats().workers_lost;
    const int pid = pool.submit([how] {
                            next_way = how;
                            std::signal(SIGUSR1, [](int) { die(next_way); });
                            return getpid();
                        })
                        .get();
    kill(pid, SIGUSR1);
    eventually([&] { return pool.stats().workers_lost == lost_before + 1; });
    CHECK(pool.submit([] { return getpid(); }).get() != pid);
}

struct failing_initializer {
    way how;
    void operator()() const { die(how); }
};

void check_initializer(concur::start_method method, std::size_t workers, way how) {
    CAPTURE(name_of(how));
    concur::process_pool pool(
        {.workers = workers, .initializer = failing_initializer{how}, .start = method});
    for (int i = 0; i != 2; ++i) {
        const auto text =
            conformance::text_thrown<concur::broken_executor>([&] { pool.submit([] {}).get(); });
        CAPTURE(text);
        CHECK(text.find("process_pool") != text.npos);
        if (how == way::throws) CHECK(text.find("thrown") != text.npos);
        if (signal_of(how) != 0) CHECK(text.find(strsignal(signal_of(how))) != text.npos);
    }
    CHECK(pool.worker_count() == 0);
    CHECK(pool.stats().workers_lost <= 3 + workers);
}

}  // namespace

TEST_CASE("crash 69, 70, 71, 74, 79: costs the task that crashes, by any start method") {
    const nothing_left guard;
    for (const auto method : start_methods) {
        for (const std::size_t workers : {1u, 2u, 5u}) {
            CAPTURE(name_of(method));
            CAPTURE(workers);
            concur::process_pool pool({.workers = workers, .start = method});
            for (const auto where : places)
                for (const auto how : ways) check_bomb(pool, where, how);
        }
    }
}

TEST_CASE("crash 77: a worker that dies idle is replaced, without another submit") {
    const nothing_left guard;
    for (const auto method : start_methods) {
        for (const std::size_t workers : {1u, 2u, 5u}) {
            CAPTURE(name_of(method));
            CAPTURE(workers);
            concur::process_pool pool({.workers = workers, .start = method});
            for (const auto how : ways)
                if (how != way::throws && how != way::throws_int) check_idle(pool, how);
        }
    }
}

TEST_CASE("crash 98: an initializer that fails breaks the pool, and is not tried for ever") {
    const nothing_left guard;
    for (const auto method : start_methods) {
        for (const std::size_t workers : {1u, 2u, 5u}) {
            CAPTURE(name_of(method));
            CAPTURE(workers);
            for (const auto how : ways) check_initializer(method, workers, how);
        }
    }
}

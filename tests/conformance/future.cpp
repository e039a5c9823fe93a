// SPDX-License-Identifier: BSL-1.0
// Promises of future<T>: its states, how waiters wake, and what becomes of values.
#include "all_executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/error.hpp>
#include <concur/future.hpp>

#include <doctest/doctest.h>

#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using namespace conformance;

namespace {

struct state {
    bool done;
    bool running;
    bool cancelled;
    bool operator==(const state&) const = default;
};

template <class T>
state state_of(const concur::future<T>& f) {
    return {f.done(), f.running(), f.cancelled()};
}

constexpr state pending{false, false, false};
constexpr state running{false, true, false};
constexpr state finished{true, false, false};
constexpr state cancelled{true, false, true};

struct no_default {
    explicit no_default(int value_) : value(value_) {}
    no_default() = delete;
    int value;
};

}  // namespace

static_assert(!std::is_copy_constructible_v<concur::future<int>>);
static_assert(!std::is_copy_assignable_v<concur::future<int>>);
static_assert(std::is_nothrow_move_constructible_v<concur::future<int>>);
static_assert(std::is_nothrow_move_assignable_v<concur::future<int>>);
static_assert(std::is_copy_constructible_v<concur::shared_future<int>>);

TEST_CASE_TEMPLATE("future 1, 2: cancel() wins over a pending task only, and the state shows it", E,
                   CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(1);
    gate started;
    gate door;
    auto busy = ex.submit([&] {
        started.open();
        door.wait();
        return 1;
    });
    started.wait();
    auto queued = ex.submit([] { return 2; });
    auto kept = ex.submit([] { return 3; });
    const opens_at_exit at_exit(door);

    CHECK(state_of(busy) == running);
    CHECK_FALSE(busy.cancel());
    CHECK(state_of(busy) == running);

    CHECK(state_of(queued) == pending);
    CHECK(queued.cancel());
    CHECK(state_of(queued) == cancelled);
    CHECK(queued.cancel());
    CHECK(state_of(queued) == cancelled);

    CHECK(state_of(kept) == pending);
    door.open();
    kept.wait();
    CHECK(state_of(kept) == finished);
    CHECK_FALSE(kept.cancel());
    CHECK(state_of(kept) == finished);
    CHECK(kept.get() == 3);
    CHECK(busy.get() == 1);
    CHECK_THROWS_AS(queued.get(), concur::task_cancelled);
}

TEST_CASE_TEMPLATE("future 1, 2: a finished or failed future cannot be cancelled", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(1);
    auto good = ex.submit([] { return 5; });
    auto bad = ex.submit([]() -> int { throw std::runtime_error("bad"); });
    good.wait();
    bad.wait();
    CHECK(state_of(good) == finished);
    CHECK(state_of(bad) == finished);
    CHECK_FALSE(good.cancel());
    CHECK_FALSE(bad.cancel());
    CHECK(state_of(good) == finished);
    CHECK(state_of(bad) == finished);
    CHECK(good.get() == 5);
    CHECK_THROWS_AS(bad.get(), std::runtime_error);
}

TEST_CASE("future 1, 2: the future of a promise can be cancelled until it is set") {
    concur::promise<int> first;
    auto f = first.get_future();
    CHECK(state_of(f) == pending);
    CHECK(f.cancel());
    CHECK(state_of(f) == cancelled);
    CHECK(f.cancel());

    concur::promise<int> second;
    auto g = second.get_future();
    second.set_value(4);
    CHECK(state_of(g) == finished);
    CHECK_FALSE(g.cancel());
    CHECK(g.get() == 4);
}

TEST_CASE("future 4: a blocked get() wakes on value, error and cancel") {
    const watchdog guard;
    constexpr int rounds = 200;
    for (int round = 0; round != rounds; ++round) {
        for (int ending = 0; ending != 3; ++ending) {
            concur::promise<int> promise;
            auto f = promise.get_future();
            gate waits;
            std::optional<int> value;
            std::string error;
            bool was_cancelled = false;
            std::thread reader([&] {
                waits.open();
                try {
                    value = f.get();
                } catch (const concur::task_cancelled&) {
                    was_cancelled = true;
                } catch (const std::exception& thrown) {
                    error = thrown.what();
                }
            });
            waits.wait();
            if (ending == 0) promise.set_value(round);
            if (ending == 1) promise.set_exception(std::make_exception_ptr(custom_error(round)));
            if (ending == 2) f.cancel();
            reader.join();
            REQUIRE(value == (ending == 0 ? std::optional<int>(round) : std::nullopt));
            REQUIRE(error == (ending == 1 ? "custom " + std::to_string(round) : std::string()));
            REQUIRE(was_cancelled == (ending == 2));
        }
    }
}

TEST_CASE("future 4: a blocked exception() wakes on value, error and cancel") {
    const watchdog guard;
    for (int ending = 0; ending != 3; ++ending) {
        concur::promise<void> promise;
        auto f = promise.get_future();
        gate waits;
        std::exception_ptr seen = std::make_exception_ptr(0);
        std::thread reader([&] {
            waits.open();
            seen = f.exception();
        });
        waits.wait();
        if (ending == 0) promise.set_value();
        if (ending == 1) promise.set_exception(std::make_exception_ptr(custom_error(7)));
        if (ending == 2) f.cancel();
        reader.join();
        if (ending == 0) CHECK(seen == nullptr);
        if (ending == 1) CHECK(holds<custom_error>(seen));
        if (ending == 2) CHECK(holds<concur::task_cancelled>(seen));
        CHECK(f.valid());
    }
}

TEST_CASE_TEMPLATE("future 4: a get() that blocks while the task runs gets its value or its error",
                   E, CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::asynchronous);
    const watchdog guard;
    auto ex = E::make(2);
    gate door;
    auto value = ex.submit([&] {
        door.wait();
        return 11;
    });
    auto error = ex.submit([value = 12]() -> int { throw custom_error(value); });
    gate waits;
    std::thread opener([&] {
        waits.wait();
        door.open();
    });
    waits.open();
    CHECK(value.get() == 11);
    CHECK(text_thrown<custom_error>([&] { error.get(); }) == "custom 12");
    opener.join();
}

TEST_CASE("future 5: the first outcome of a promise stays, and a second one is refused") {
    concur::promise<int> promise;
    auto f = promise.get_future();
    promise.set_value(1);
    CHECK_THROWS_AS(promise.set_value(2), std::future_error);
    CHECK_THROWS_AS(promise.set_exception(std::make_exception_ptr(custom_error(3))),
                    std::future_error);
    CHECK(f.get() == 1);

    concur::promise<void> failing;
    auto g = failing.get_future();
    failing.set_exception(std::make_exception_ptr(custom_error(4)));
    CHECK_THROWS_AS(failing.set_value(), std::future_error);
    CHECK(text_thrown<custom_error>([&] { g.get(); }) == "custom 4");
}

TEST_CASE("future 5: misuse of a promise is std::future_error") {
    concur::promise<int> promise;
    auto f = promise.get_future();
    CHECK_THROWS_AS(static_cast<void>(promise.get_future()), std::future_error);
    auto moved_to = std::move(promise);
    // NOLINTNEXTLINE(bugprone-use-after-move): that is the misuse
    CHECK_THROWS_AS(promise.set_value(1), std::future_error);
    CHECK_THROWS_AS(static_cast<void>(promise.get_future()), std::future_error);
    moved_to.set_value(2);
    CHECK(f.get() == 2);
}

TEST_CASE("future 5: setting a cancelled promise is ignored") {
    concur::promise<std::string> promise;
    auto f = promise.get_future();
    REQUIRE(f.cancel());
    CHECK_NOTHROW(promise.set_value("late"));
    CHECK(f.cancelled());
    CHECK_THROWS_AS(f.get(), concur::task_cancelled);

    concur::promise<int> other;
    auto g = other.get_future();
    REQUIRE(g.cancel());
    CHECK_NOTHROW(other.set_exception(std::make_exception_ptr(custom_error(1))));
    CHECK_THROWS_AS(g.get(), concur::task_cancelled);
}

TEST_CASE("future: a promise dropped unset breaks, so nothing waits for ever") {
    const watchdog guard;
    concur::future<int> f;
    {
        concur::promise<int> promise;
        f = promise.get_future();
    }
    CHECK(f.done());
    CHECK_FALSE(f.cancelled());
    try {
        f.get();
        FAIL("get() returned");
    } catch (const std::future_error& error) {
        CHECK(error.code() == std::future_errc::broken_promise);
    }

    // One that waits already wakes.
    auto promise = std::make_unique<concur::promise<void>>();
    auto g = promise->get_future();
    gate waits;
    std::exception_ptr seen;
    std::thread reader([&] {
        waits.open();
        seen = g.exception();
    });
    waits.wait();
    promise.reset();
    reader.join();
    CHECK(holds<std::future_error>(seen));
}

TEST_CASE_TEMPLATE("future 10: a dropped future neither blocks nor cancels its task", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    std::atomic<int> ran = 0;
    {
        auto ex = E::make(1);
        gate door;
        const opens_at_exit at_exit(door);
        if constexpr (E::asynchronous) {
            // Would hang here if dropping waited for the task.
            static_cast<void>(ex.submit([&] {
                door.wait();
                ++ran;
            }));
            static_cast<void>(ex.submit([&] { ++ran; }));
            CHECK(ran == 0);
        } else {
            static_cast<void>(ex.submit([&] { ran += 2; }));
        }
        static_cast<void>(ex.submit([&] {
            ++ran;
            throw custom_error(1);
        }));
        door.open();
        ex.shutdown();
    }
    CHECK(ran == 3);
}

TEST_CASE_TEMPLATE("future 11: arguments and captures die with the task, not with the future", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard("captures and arguments of a finished task to be destroyed");
    auto ex = E::make(1);
    tally captures;
    tally arguments;
    auto f =
        ex.submit([held = probe(captures, 1)](const probe& p) { return held.value() + p.value(); },
                  probe(arguments, 2));
    f.wait();
    // Before the next task: nothing else is submitted here.
    eventually([&] { return captures.alive == 0 && arguments.alive == 0; });
    CHECK(f.get() == 3);

    auto failing = ex.submit([held = probe(captures)] { throw custom_error(held.value()); });
    failing.wait();
    eventually([&] { return captures.alive == 0; });
    CHECK_THROWS_AS(failing.get(), custom_error);
}

TEST_CASE_TEMPLATE("future 11: a result lives until the last handle to it goes", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard("results to be destroyed");
    auto ex = E::make(1);
    tally results;
    {
        auto f = ex.submit([&] { return probe(results, 8); });
        f.wait();
        CHECK(results.alive >= 1);
        auto shared = std::move(f).share();
        auto copy = shared;
        shared = {};
        CHECK(copy.get().value() == 8);
        CHECK(results.alive >= 1);
    }
    eventually([&] { return results.alive == 0; });
    {
        auto taken = ex.submit([&] { return probe(results, 9); });
        CHECK(taken.get().value() == 9);
        eventually([&] { return results.alive == 0; });  // get() moved it out and it died
        CHECK_FALSE(taken.valid());
    }
    static_cast<void>(ex.submit([&] { return probe(results); }));
    ex.shutdown();
    eventually([&] { return results.alive == 0; });
    CHECK(results.copies == 0);
}

TEST_CASE_TEMPLATE("future 12: void, move-only and non-default-constructible results", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    auto ex = E::make(2);
    auto nothing = ex.submit([] {});
    static_assert(std::is_same_v<decltype(nothing), concur::future<void>>);
    static_assert(std::is_void_v<decltype(nothing.get())>);
    nothing.get();

    auto pointer = ex.submit([] { return std::make_unique<int>(6); });
    static_assert(std::is_same_v<decltype(pointer), concur::future<std::unique_ptr<int>>>);
    CHECK(*pointer.get() == 6);

    auto plain = ex.submit([] { return no_default(7); });
    CHECK(plain.get().value == 7);
}

TEST_CASE_TEMPLATE("future 12: get() works once, then the future is empty", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(1);
    auto f = ex.submit([] { return 1; });
    CHECK(f.valid());
    CHECK(f.get() == 1);
    CHECK_FALSE(f.valid());
    CHECK_THROWS_AS(f.get(), std::future_error);

    auto failing = ex.submit([] { throw std::runtime_error("once"); });
    CHECK_THROWS_AS(failing.get(), std::runtime_error);
    CHECK_FALSE(failing.valid());
    CHECK_THROWS_AS(failing.get(), std::future_error);

    auto source = ex.submit([] { return 2; });
    auto target = std::move(source);
    // NOLINTNEXTLINE(bugprone-use-after-move): that is the question
    CHECK_FALSE(source.valid());
    CHECK(target.get() == 2);
}

TEST_CASE("future 12: a default future is empty, and using it is std::future_error no_state") {
    concur::future<int> f;
    CHECK_FALSE(f.valid());
    try {
        f.get();
        FAIL("get() returned");
    } catch (const std::future_error& error) {
        CHECK(error.code() == std::future_errc::no_state);
    }
    CHECK_THROWS_AS(f.wait(), std::future_error);
    CHECK_THROWS_AS(static_cast<void>(f.get_outcome()), std::future_error);
}

TEST_CASE_TEMPLATE("future 12: a future outlives its executor", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    concur::future<std::string> good;
    concur::future<std::string> bad;
    {
        auto ex = E::make(2);
        good = ex.submit([] { return std::string("still here"); });
        bad = ex.submit([]() -> std::string { throw std::runtime_error("too"); });
    }
    CHECK(good.done());
    CHECK(bad.done());
    CHECK(good.get() == "still here");
    CHECK(text_thrown<std::runtime_error>([&] { bad.get(); }) == "too");
}

TEST_CASE_TEMPLATE("future: share() gives the value to any number of readers", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(2);
    auto f = ex.submit([] { return std::string("shared"); });
    auto shared = std::move(f).share();
    // NOLINTNEXTLINE(bugprone-use-after-move): that is the question
    CHECK_FALSE(f.valid());
    static_assert(std::is_same_v<decltype(shared), concur::shared_future<std::string>>);
    static_assert(std::is_same_v<decltype(shared.get()), const std::string&>);
    const auto copy = shared;
    CHECK(shared.get() == "shared");
    CHECK(copy.get() == "shared");
    CHECK(&copy.get() == &shared.get());
    CHECK(shared.valid());

    auto failed = ex.submit([] { throw std::runtime_error("each time"); }).share();
    CHECK_THROWS_AS(failed.get(), std::runtime_error);
    CHECK_THROWS_AS(failed.get(), std::runtime_error);
}

TEST_CASE_TEMPLATE("future: get_outcome() does not throw what the task threw", E,
                   CONCUR_EXECUTORS) {
    const watchdog guard;
    auto ex = E::make(1);
    auto good = ex.submit([] { return 3; });
    auto bad = ex.submit([]() -> int { throw std::runtime_error("kept"); });
    auto value = good.get_outcome();
    auto error = bad.get_outcome();
    CHECK(value.has_value());
    CHECK(value.value() == 3);
    CHECK_FALSE(error.has_value());
    CHECK(error.what() == "kept");
    CHECK_FALSE(good.valid());
    CHECK_FALSE(bad.valid());
}

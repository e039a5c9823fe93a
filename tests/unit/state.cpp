// SPDX-License-Identifier: BSL-1.0
// The word that decides what becomes of a task, and its waiters. race_state.cpp lets threads meet.
#include "../conformance/tools.hpp"
#include "state_of_a_test.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <vector>

using namespace concur::detail;
using unit::test_state;

namespace {

struct noting : waiter {
    noting(when moment, std::vector<int>& log_, int number_)
        : waiter(moment,
                 [](waiter& w) noexcept {
                     auto& self = static_cast<noting&>(w);
                     self.log.push_back(self.number);
                 }),
          log(log_),
          number(number_) {}
    std::vector<int>& log;
    int number;
};

constexpr auto under_lock = waiter::when::under_lock;
constexpr auto after_lock = waiter::when::after_lock;
constexpr auto foreign = waiter::when::foreign;

}  // namespace

TEST_CASE("state: claimed once, by a runner that can be read") {
    test_state s(0, 1);
    CHECK_FALSE(s.done());
    CHECK(s.claim(513));
    CHECK(phase_of(s.look()) == phase_running);
    CHECK(runner_of(s.look()) == 513);
    CHECK_FALSE(s.claim(1));
    CHECK_FALSE(s.cancel());
    CHECK_FALSE(s.claim_unready());
    CHECK(s.destroyed == 0);
    s.publish(phase_value);
    CHECK(s.done());
    CHECK(phase_of(s.look()) == phase_value);
    CHECK(s.destroyed == 1);
}

TEST_CASE("state: cancelled once, then nobody starts it") {
    test_state s(0, 1);
    CHECK(s.cancel());
    CHECK(phase_of(s.look()) == phase_cancelled);
    CHECK_FALSE(s.cancel());
    CHECK_FALSE(s.claim(0));
    CHECK_FALSE(s.claim_unready());
    CHECK(s.destroyed == 0);
    s.release();
    CHECK(s.destroyed == 1);
}

TEST_CASE("state: not ready, no worker may start it, but it may be cancelled or set") {
    test_state a(not_ready, 1), b(not_ready, 1), c(not_ready, 1);
    CHECK_FALSE(a.claim(0));
    CHECK(a.cancel());
    CHECK(b.claim_unready());
    CHECK_FALSE(b.claim_unready());
    b.publish(phase_error);
    c.make_ready();
    CHECK(c.claim(0));
    c.publish(phase_value);
    a.release();
    CHECK(a.destroyed + b.destroyed + c.destroyed == 3);
}

TEST_CASE("state: a time-out comes before the return, or never") {
    test_state a(0, 2), b(0, 1), c(0, 1);
    REQUIRE(a.claim(0));
    CHECK(a.expire());
    CHECK(phase_of(a.look()) == phase_error);
    CHECK((a.look() & error_aside) != 0);
    CHECK((a.look() & stop_asked) != 0);
    CHECK_FALSE(a.seal());
    CHECK_FALSE(a.expire());
    a.release();
    a.release();
    REQUIRE(b.claim(0));
    CHECK(b.seal());
    CHECK_FALSE(b.expire());
    b.publish(phase_value);
    CHECK_FALSE(c.expire());  // it has not started
    CHECK(c.cancel());
    c.release();
    CHECK(a.destroyed + b.destroyed + c.destroyed == 3);
}

TEST_CASE("state: the last reference destroys, and only that one") {
    test_state s(0, 2);
    s.retain(3);
    CHECK(references_of(s.look()) == 5);
    REQUIRE(s.claim(0));
    s.publish(phase_value);
    for (int i = 0; i != 3; ++i) s.release();
    CHECK(references_of(s.look()) == 1);
    CHECK(s.destroyed == 0);
    {
        auto a = state_ref(&s);
        auto b = a;
        CHECK(references_of(s.look()) == 2);
        auto c = std::move(b);
        CHECK_FALSE(b);
        CHECK(references_of(s.look()) == 2);
        a = c;
        CHECK(references_of(s.look()) == 2);
        state_ref::share(s);
        CHECK(references_of(s.look()) == 2);
        a = {};
        CHECK(s.destroyed == 0);
    }
    CHECK(s.destroyed == 1);
}

TEST_CASE("state: each waiter is told once, in order; those under the lock first") {
    for (const bool cancels : {false, true}) {
        CAPTURE(cancels);
        test_state s(0, 2);
        std::vector<int> log;
        noting a(under_lock, log, 1), b(after_lock, log, 3), c(under_lock, log, 2),
            d(foreign, log, 4);
        for (waiter* w : {static_cast<waiter*>(&a), static_cast<waiter*>(&b),
                          static_cast<waiter*>(&c), static_cast<waiter*>(&d)}) {
            CHECK(s.add_waiter(*w));
        }
        CHECK((s.look() & has_waiters) != 0);
        if (cancels) {
            CHECK(s.cancel());
            s.release();
        } else {
            REQUIRE(s.claim(0));
            CHECK(log.empty());
            s.publish(phase_value);
        }
        CHECK(log == std::vector{1, 2, 3, 4});
        CHECK((s.look() & (has_waiters | list_locked)) == 0);
        noting late(under_lock, log, 5);
        CHECK_FALSE(s.add_waiter(late));
        s.release();
        CHECK(log.size() == 4);
        CHECK(s.destroyed == 1);
    }
}

TEST_CASE("state: a waiter that was removed is not told, wherever it stood in the list") {
    constexpr int n = 5;
    for (unsigned removed = 0; removed != 1u << n; ++removed) {
        test_state s(0, 2);
        std::vector<int> log, expected;
        std::vector<std::unique_ptr<noting>> waiters;
        for (int i = 0; i != n; ++i) {
            waiters.push_back(std::make_unique<noting>(under_lock, log, i));
            REQUIRE(s.add_waiter(*waiters.back()));
        }
        // From both ends, so that first, last and middle ones go in different orders.
        for (int k = 0; k != n; ++k) {
            const int i = removed % 3 == 0 ? k : n - 1 - k;
            if (removed & 1u << i) s.remove_waiter(*waiters[static_cast<std::size_t>(i)]);
        }
        for (int i = 0; i != n; ++i) {
            if (!(removed & 1u << i)) expected.push_back(i);
        }
        REQUIRE(((s.look() & has_waiters) != 0) == !expected.empty());
        REQUIRE(s.cancel());
        REQUIRE(log == expected);
        for (auto& w : waiters) s.remove_waiter(*w);  // after it was told: harmless
        s.release();
        s.release();
        REQUIRE(s.destroyed == 1);
    }
}

TEST_CASE("state: told waiters that tell others do not go deeper, and come in order") {
    // 1,000,000 states, each of which is cancelled by the waiter of the one before.
    struct link : waiter {
        link() : waiter(after_lock, &link::next_one) {}
        static void next_one(waiter& w) noexcept {
            auto& self = static_cast<link&>(w);
            if (self.next_state) self.next_state->cancel();
            ++*self.told;
        }
        test_state* next_state = nullptr;
        std::size_t* told = nullptr;
    };
    constexpr std::size_t n = unit::load(1'000'000);
    std::size_t told = 0;
    std::unique_ptr<test_state[]> states(new test_state[n]);
    std::unique_ptr<link[]> links(new link[n]);
    for (std::size_t i = 0; i != n; ++i) {
        links[i].told = &told;
        if (i + 1 != n) links[i].next_state = &states[i + 1];
        REQUIRE(states[i].add_waiter(links[i]));
    }
    CHECK(states[0].cancel());
    CHECK(told == n);
    std::size_t destroyed = 0;
    for (std::size_t i = 0; i != n; ++i) {
        states[i].release();
        destroyed += static_cast<std::size_t>(states[i].destroyed);
    }
    CHECK(destroyed == n);
}

TEST_CASE("state: foreign code may tell others and sees it done before it goes on") {
    test_state inner(0, 1), outer(0, 1);
    std::vector<int> log;
    noting told(after_lock, log, 1);
    REQUIRE(inner.add_waiter(told));
    struct cancels : waiter {
        cancels(test_state& s, std::vector<int>& log_)
            : waiter(foreign,
                     [](waiter& w) noexcept {
                         auto& self = static_cast<cancels&>(w);
                         self.target.cancel();
                         self.log.push_back(2);
                     }),
              target(s),
              log(log_) {}
        test_state& target;
        std::vector<int>& log;
    } outer_waiter(inner, log);
    REQUIRE(outer.add_waiter(outer_waiter));
    CHECK(outer.cancel());
    CHECK(log == std::vector{1, 2});
    inner.release();
    outer.release();
}

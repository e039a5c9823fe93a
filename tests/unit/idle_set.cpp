// SPDX-License-Identifier: BSL-1.0
// Who sleeps, who searches, whom to wake: one thread at a time. race_idle.cpp lets threads meet.
#include <concur/detail/thread_pool/idle_set.hpp>

#include <doctest/doctest.h>

#include <memory>

using concur::detail::idle_set;
using concur::detail::pool_worker;

namespace {

// Two workers that search, as after the start of a pool.
struct fixture {
    fixture() {
        set.start_search();
        set.start_search();
    }
    idle_set set;
    pool_worker a, b;
};

}  // namespace

TEST_CASE("idle_set: nobody is woken while somebody searches") {
    const auto f = std::make_unique<fixture>();
    f->set.fall_asleep(f->a);
    CHECK(f->set.asleep(f->a));
    f->set.work_for_workers();
    f->set.work_for_all();
    CHECK(f->set.asleep(f->a));
    CHECK_FALSE(f->a.sleeper.take());
}

TEST_CASE("idle_set: one is woken, counts as searching, and so the next one sleeps on") {
    const auto f = std::make_unique<fixture>();
    f->set.fall_asleep(f->a);
    f->set.fall_asleep(f->b);
    f->set.work_for_workers();
    CHECK_FALSE(f->set.asleep(f->b));  // the one that fell asleep last: its cache is warm
    CHECK(f->b.sleeper.take());
    CHECK(f->set.asleep(f->a));
    f->set.work_for_workers();
    CHECK(f->set.asleep(f->a));
    CHECK_FALSE(f->a.sleeper.take());
    // It finds work and is the last searcher, so it hands the search on.
    CHECK(f->set.stop_search());
    CHECK(f->set.wake_worker());
    CHECK(f->a.sleeper.take());
    CHECK(f->set.stop_search());
    CHECK_FALSE(f->set.wake_worker());
}

TEST_CASE("idle_set: only the last searcher is told that it is the last") {
    const auto f = std::make_unique<fixture>();
    CHECK_FALSE(f->set.stop_search());
    CHECK(f->set.stop_search());
}

TEST_CASE("idle_set: who gets up by itself searches again, and is not woken") {
    const auto f = std::make_unique<fixture>();
    f->set.fall_asleep(f->a);
    CHECK(f->set.get_up(f->a));
    CHECK_FALSE(f->set.asleep(f->a));
    CHECK_FALSE(f->set.wake_worker());
    CHECK_FALSE(f->set.stop_search());
    CHECK(f->set.stop_search());
}

TEST_CASE("idle_set: who was woken before it got up is counted once") {
    const auto f = std::make_unique<fixture>();
    CHECK_FALSE(f->set.stop_search());
    f->set.fall_asleep(f->a);
    CHECK(f->set.wake_worker());
    CHECK(f->set.get_up(f->a));
    CHECK(f->set.stop_search());
}

TEST_CASE("idle_set: a lent place is not woken, and its thread does not get up") {
    const auto f = std::make_unique<fixture>();
    CHECK_FALSE(f->set.stop_search());
    f->set.fall_asleep(f->a);
    CHECK(f->set.lend() == &f->a);
    CHECK(f->set.lend() == nullptr);
    // Its thread had seen work just then: it must sleep on, for somebody else holds the place.
    CHECK_FALSE(f->set.get_up(f->a));
    CHECK(f->set.asleep(f->a));
    CHECK_FALSE(f->set.wake_worker());
    CHECK_FALSE(f->a.sleeper.take());
    f->set.take_back(f->a);
    CHECK(f->set.asleep(f->a));
    f->set.work_for_workers();
    CHECK_FALSE(f->set.asleep(f->a));
    CHECK(f->a.sleeper.take());
    CHECK(f->set.stop_search());
}

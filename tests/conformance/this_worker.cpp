// SPDX-License-Identifier: BSL-1.0
// Promises of this_worker::index().
#include "all_executors.hpp"
#include "tools.hpp"
#include "watchdog.hpp"

#include <concur/executor.hpp>

#include <doctest/doctest.h>

#include <barrier>
#include <memory>
#include <set>
#include <vector>

using namespace conformance;

namespace {

/// Notes every index that is in range, and whether two items ever had one at the same time.
class seats {
public:
    explicit seats(std::size_t workers) : taken_(workers) {}
    void sit() {
        const auto index = concur::this_worker::index();
        if (index >= taken_.size()) {
            ++wrong_;
            return;
        }
        if (taken_[index].exchange(true)) ++wrong_;
        std::this_thread::yield();
        taken_[index] = false;
    }
    int wrong() const { return wrong_; }

private:
    std::vector<std::atomic<bool>> taken_;
    std::atomic<int> wrong_ = 0;
};

}  // namespace

TEST_CASE_TEMPLATE("this_worker: outside of tasks there is no index", E, CONCUR_EXECUTORS) {
    const watchdog guard;
    CHECK(concur::this_worker::index() == concur::this_worker::none);
    auto ex = E::make(1);
    CHECK(ex.submit([] { return concur::this_worker::index(); }).get() == 0);
    CHECK(concur::this_worker::index() == concur::this_worker::none);
    ex.for_each([](int) {}, numbers(10));
    CHECK(concur::this_worker::index() == concur::this_worker::none);
}

TEST_CASE_TEMPLATE("this_worker: every worker has an index of its own", E, CONCUR_IN_PROCESS) {
    CONCUR_ONLY_IF(E::parallel);
    const watchdog guard("a barrier of all workers");
    auto ex = E::make(4);
    std::barrier everyone(4);
    std::vector<concur::future<std::size_t>> futures;
    for (int i = 0; i != 4; ++i)
        futures.push_back(ex.submit([&] {
            everyone.arrive_and_wait();
            const auto index = concur::this_worker::index();
            everyone.arrive_and_wait();
            return index;
        }));
    std::set<std::size_t> indices;
    for (auto& f : futures) indices.insert(f.get());
    CHECK(indices == std::set<std::size_t>{0, 1, 2, 3});
}

TEST_CASE_TEMPLATE("this_worker: items that run at once never share an index", E,
                   CONCUR_IN_PROCESS) {
    const watchdog guard;
    for (const unsigned workers : {1U, 3U}) {
        auto ex = E::make(workers);
        seats taken(ex.worker_count());
        const auto data = numbers(500);
        const auto item = [&](int x) {
            taken.sit();
            return x;
        };
        for (const int chunk : {0, 1, 10}) {
            const concur::map_options options{.chunk_size = chunk};
            ex.for_each(options, item, data);
            static_cast<void>(ex.map(options, item, data).collect());
            static_cast<void>(ex.map_reduce(options, item, std::plus<>(), data, 0));
            static_cast<void>(drain<int>(ex.map(options, item, data)));
            for (int i = 0; i != 100; ++i) ex.post([&] { taken.sit(); });
            ex.for_each(options, item, data);  // beside the posted ones
        }
        ex.wait_idle();
        CHECK(taken.wrong() == 0);
    }
}

TEST_CASE_TEMPLATE("this_worker: at most worker_count() items run at once", E, CONCUR_IN_PROCESS) {
    const watchdog guard;
    for (const unsigned workers : {1U, 2U, 4U}) {
        auto ex = E::make(workers);
        crowd inside;
        const auto item = [&](int x) {
            inside.enter();
            std::this_thread::yield();
            inside.leave();
            return x;
        };
        ex.for_each({.chunk_size = 1}, item, numbers(300));
        static_cast<void>(ex.map({.chunk_size = 1}, item, numbers(300)).collect());
        for (int i = 0; i != 100; ++i) ex.post(item, i);
        ex.for_each({.chunk_size = 1}, item, numbers(300));
        ex.wait_idle();
        CHECK(inside.peak() <= static_cast<int>(ex.worker_count()));
    }
}

TEST_CASE("this_worker: several threads in for_each share the workers' places") {
    const watchdog guard;
    concur::thread_pool pool(3);
    seats taken(3);
    crowd inside;
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t != 4; ++t)
            threads.emplace_back([&] {
                for (int round = 0; round != 10; ++round)
                    pool.for_each(
                        {.chunk_size = 5},
                        [&](int) {
                            inside.enter();
                            taken.sit();
                            inside.leave();
                        },
                        numbers(200));
            });
    }
    CHECK(taken.wrong() == 0);
    CHECK(inside.peak() <= 3);
}

TEST_CASE("this_worker: a task of one pool inside a task of another has the inner pool's index") {
    const watchdog guard;
    concur::thread_pool outer(1);
    concur::thread_pool inner(3);
    auto f = outer.submit([&] {
        const auto before = concur::this_worker::index();
        seats taken(3);
        inner.for_each([&](int) { taken.sit(); }, numbers(100));
        return before == 0 && concur::this_worker::index() == 0 && taken.wrong() == 0;
    });
    CHECK(f.get());
}

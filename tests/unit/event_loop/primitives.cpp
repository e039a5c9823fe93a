// SPDX-License-Identifier: BSL-1.0
// async_semaphore, async_mutex, async_event, async_queue; dump_tasks; the end of a stuck loop.
#include "../../conformance/tools.hpp"
#include "../../conformance/watchdog.hpp"

#include <concur/event_loop.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <sstream>
#include <string>
#include <vector>

using namespace conformance;
using concur::event_loop;
using concur::task;
using concur::task_group;

namespace {

task<void> consume(concur::async_queue<int>& queue, std::vector<int>& to) {
    try {
        for (;;) to.push_back(co_await queue.pop());
    } catch (const concur::queue_closed&) {
    }
}

task<void> with_permit(concur::async_semaphore& semaphore, crowd& inside, std::vector<int>& order,
                       int number) {
    co_await semaphore.acquire();
    inside.enter();
    order.push_back(number);
    co_await concur::sleep_for(1ms);
    inside.leave();
    semaphore.release();
}

task<void> add_slowly(concur::async_mutex& mutex, int& value) {
    auto lock = co_await mutex.lock();
    const int before = value;
    co_await concur::yield();
    value = before + 1;
}

task<void> waits_for(concur::async_event& event) { co_await event.wait(); }
task<void> nested_wait(concur::async_event& event) { co_await waits_for(event); }

}  // namespace

TEST_CASE("primitives 143: a semaphore serves in order, and bounds") {
    const watchdog guard;
    crowd inside;
    std::vector<int> order;
    concur::run([&]() -> task<void> {
        concur::async_semaphore semaphore(3);
        const auto body = [&](task_group& g) -> task<void> {
            for (int i = 0; i != 20; ++i)
                g.start(with_permit, std::ref(semaphore), std::ref(inside), std::ref(order), i);
            co_return;
        };
        co_await concur::with_task_group(body);
        CHECK(semaphore.available() == 3);
        CHECK(semaphore.try_acquire());
    });
    CHECK(inside.peak() == 3);
    CHECK(order == numbers(20));
}

TEST_CASE("primitives 143: a mutex, by guard") {
    const watchdog guard;
    int value = 0;
    concur::run([&]() -> task<void> {
        concur::async_mutex mutex;
        const auto body = [&](task_group& g) -> task<void> {
            for (int i = 0; i != 50; ++i) g.start(add_slowly, std::ref(mutex), std::ref(value));
            co_return;
        };
        co_await concur::with_task_group(body);
        CHECK_FALSE(mutex.locked());
    });
    CHECK(value == 50);
}

TEST_CASE("primitives: an event wakes all, and stays set until clear()") {
    const watchdog guard;
    concur::run([]() -> task<void> {
        concur::async_event event;
        std::vector<task<void>> all;
        for (int i = 0; i != 10; ++i) all.push_back(nested_wait(event));
        const auto sets = [&]() -> task<void> {
            co_await concur::sleep_for(1ms);
            event.set();
        };
        all.push_back(sets());
        co_await concur::when_all(std::move(all));
        co_await event.wait();
        event.clear();
        CHECK_FALSE(event.is_set());
    });
}

TEST_CASE("primitives 143: a queue is bounded, first in first out, and drains after close") {
    const watchdog guard;
    std::vector<int> got;
    concur::run([&]() -> task<void> {
        concur::async_queue<int> queue(4);
        const auto produce = [&]() -> task<void> {
            for (int i = 0; i != 100; ++i) {
                co_await queue.push(i);
                CHECK(queue.size() <= 4);
            }
            queue.close();
        };
        co_await concur::when_all(produce(), consume(queue, got));
        bool threw = false;
        try {
            co_await queue.push(1);
        } catch (const concur::queue_closed&) {
            threw = true;
        }
        CHECK(threw);
        CHECK_FALSE(queue.try_push(2));
    });
    CHECK(got == numbers(100));
}

TEST_CASE("primitives: a queue of move-only items; those that wait to push get queue_closed") {
    const watchdog guard;
    concur::run([]() -> task<void> {
        concur::async_queue<std::unique_ptr<int>> queue(1);
        co_await queue.push(std::make_unique<int>(1));
        bool refused = false;
        const auto pushes = [&]() -> task<void> {
            auto item = std::make_unique<int>(2);
            try {
                co_await queue.push(std::move(item));
            } catch (const concur::queue_closed&) {
                refused = true;
            }
        };
        const auto closes = [&]() -> task<void> {
            co_await concur::yield();
            queue.close();
        };
        co_await concur::when_all(pushes(), closes());
        CHECK(refused);
        auto last = co_await queue.pop();
        CHECK(*last == 1);
    });
}

TEST_CASE("primitives 143: no item is lost when a pop is cancelled in the tick of the push") {
    const watchdog guard;
    // All orders of push, cancel and the popper's turn: the item is either popped or still there.
    for (const int order : {0, 1, 2, 3, 5}) {
        CAPTURE(order);
        event_loop loop;
        auto f = loop.submit([&]() -> task<bool> {
            concur::async_queue<int> queue;
            int got = 0;
            const auto pops = [&]() -> task<void> {
                if (order % 3 == 2) co_await concur::yield();
                got += co_await queue.pop();
                co_await concur::yield();
            };
            const auto body = [&](task_group& g) -> task<void> {
                g.start(pops);
                for (int i = 0; i != 2; ++i) co_await concur::yield();
                if (order < 3) {
                    queue.try_push(1);
                    if (order == 1) co_await concur::yield();
                    g.cancel();
                } else {
                    g.cancel();
                    queue.try_push(1);
                }
            };
            try {
                co_await concur::with_task_group(body);
            } catch (const concur::task_cancelled&) {
            }
            co_return got + static_cast<int>(queue.size()) == 1;
        });
        CHECK(f.get());
    }
}

TEST_CASE("primitives 143: no permit is lost when acquires are cancelled at any moment") {
    const watchdog guard;
    concur::run([]() -> task<void> {
        for (int round = 0; round != 50; ++round) {
            concur::async_semaphore semaphore(1);
            const auto uses = [&semaphore](int turns) -> task<void> {
                co_await semaphore.acquire();
                struct gives_back {
                    explicit gives_back(concur::async_semaphore& s) : semaphore(s) {}
                    ~gives_back() { semaphore.release(); }
                    concur::async_semaphore& semaphore;
                } const at_exit(semaphore);
                for (int i = 0; i != turns; ++i) co_await concur::yield();
            };
            const auto body = [&](task_group& g) -> task<void> {
                for (int i = 0; i != 5; ++i) g.start(uses, i);
                for (int i = 0; i != round; ++i) co_await concur::yield();
                g.cancel();
            };
            co_await concur::with_task_group(body);
            CHECK(semaphore.available() == 1);
        }
    });
}

TEST_CASE("primitives: on the wrong thread they throw") {
    const watchdog guard;
    event_loop loop;
    concur::async_event event;
    auto f = loop.submit(waits_for, std::ref(event));
    eventually([&] { return f.running(); });
    std::ostringstream text;
    do {  // it runs before it waits
        text.str("");
        loop.dump_tasks(text);
    } while (text.str().find("async_event") == std::string::npos);
    CHECK_THROWS_AS(event.set(), std::logic_error);
    loop.post([&] { event.clear(), event.set(); });
    f.get();
}

TEST_CASE("dump_tasks: who awaits whom") {
    const watchdog guard;
    event_loop loop;
    concur::async_event event;
    const auto all = [&event]() -> task<void> {
        co_await concur::when_all(nested_wait(event), concur::sleep_for(1h));
    };
    auto f = loop.submit({.name = "the root"}, all);
    std::ostringstream text;
    do {
        text.str("");
        loop.dump_tasks(text);
    } while (text.str().find("async_event") == std::string::npos);
    CAPTURE(text.str());
    CHECK(text.str().find("task 'the root': waits for its children") != std::string::npos);
    CHECK(text.str().find("waits_for") != std::string::npos);
    CHECK(text.str().find("nested_wait") != std::string::npos);
    CHECK(text.str().find("waits for a time") != std::string::npos);
    f.request_stop();
    CHECK(holds<concur::task_cancelled>(f.exception()));
    loop.wait_idle();
    text.str("");
    loop.dump_tasks(text);
    CHECK(text.str() == "  no task is under way\n");
}

TEST_CASE("end: a loop with tasks that nobody can resume reports and cancels them") {
    const watchdog guard;
    concur::async_event event;
    concur::future<void> f;
    {
        event_loop loop({.name = "stuck"});
        f = loop.submit(nested_wait, std::ref(event));
    }
    CHECK(holds<concur::task_cancelled>(f.exception()));
}

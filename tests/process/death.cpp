// SPDX-License-Identifier: BSL-1.0
// The death sensor: sees each kind of end, at once, and nothing else.
#include "../unit/load.hpp"
#include "forked.hpp"

#include <concur/detail/ipc/death.hpp>
#include <concur/detail/ipc/doorbell.hpp>

#include <doctest/doctest.h>

#include <poll.h>
#include <sys/mman.h>

#include <memory>
#include <thread>
#include <vector>

using concur::detail::deadline_after;
using concur::detail::death_sensor;
using concur::detail::doorbell;
using concur::detail::ending_of;
using concur::detail::steady_clock;
using concur::detail::watch_list;
using process::forked;
using process::shared_object;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t many = 200;

struct world {
    doorbell bell;  // of the test
    doorbell go;    // of the children
    std::atomic<int> said;
    death_sensor sensors[many];
};

/// Sleeps as a pool does, until the sensor fired or the deadline came.
bool wait_for_death(world& w, death_sensor& sensor, bool polling = false,
                    concur::detail::time_point deadline = deadline_after(30s)) {
    while (!sensor.dead() && steady_clock::now() < deadline) {
        watch_list watches;
        w.bell.announce();
        watches.add(w.bell.watch());
        watches.add(sensor.watch());
        if (sensor.dead()) break;
        polling ? watches.wait_by_polling(deadline) : watches.wait(deadline);
        w.bell.withdraw();
    }
    return sensor.dead();
}

/// In a child: holds its sensor, says so, and sleeps until it may end.
void live(world& w, std::size_t index = 0) {
    w.sensors[index].hold();
    ++w.said;
    w.bell.ring();
    w.go.wait([&] { return w.said < 0; });
}

void wait_for_start(world& w, int children = 1) {
    w.bell.wait([&] { return w.said == children; }, deadline_after(30s));
    REQUIRE(w.said == children);
}

void let_go(world& w) {
    w.said = -1;
    w.go.ring();
}

}  // namespace

TEST_CASE("death: a kill, with and without futex_waitv") {
    const process::alarm_clock guard;
    for (const bool polling : {false, true}) {
        const shared_object<world> w;
        w->sensors[0].reset();
        CHECK_FALSE(w->sensors[0].held());
        CHECK(w->sensors[0].watch().word == nullptr);
        forked child([&] { return live(*w), 0; });
        wait_for_start(*w);
        CHECK(w->sensors[0].held());
        CHECK_FALSE(wait_for_death(*w, w->sensors[0], polling, deadline_after(20ms)));
        CHECK_FALSE(ending_of(child.pid()).known);
        child.kill();
        CHECK(wait_for_death(*w, w->sensors[0], polling));
        CHECK(w->sensors[0].watch().word == nullptr);
        const auto end = ending_of(child.pid());
        CHECK(end.known);
        CHECK(end.signalled);
        CHECK(end.code == SIGKILL);
        CHECK(WTERMSIG(child.wait()) == SIGKILL);
    }
}

TEST_CASE("death: an exit by itself, in each way") {
    const process::alarm_clock guard;
    for (const int way : {0, 1, 2, 3}) {
        CAPTURE(way);
        const shared_object<world> w;
        w->sensors[0].reset();
        forked child([&] {
            live(*w);
            if (way == 1) std::quick_exit(7);
            if (way == 2) std::raise(SIGTERM);
            if (way == 3) {
                // The end comes from another thread than the one that holds.
                std::thread([] { _exit(7); }).join();
            }
            return 7;
        });
        wait_for_start(*w);
        let_go(*w);
        CHECK(wait_for_death(*w, w->sensors[0]));
        const auto end = ending_of(child.pid());
        CHECK(end.known);
        CHECK(end.signalled == (way == 2));
        CHECK(end.code == (way == 2 ? SIGTERM : 7));
    }
}

TEST_CASE("death: a worker that becomes another program does not serve any more") {
    const process::alarm_clock guard;
    const shared_object<world> w;
    w->sensors[0].reset();
    forked child([&] {
        live(*w);
        execl("/bin/sleep", "sleep", "100", static_cast<char*>(nullptr));
        return 1;
    });
    wait_for_start(*w);
    let_go(*w);
    CHECK(wait_for_death(*w, w->sensors[0]));
    CHECK_FALSE(ending_of(child.pid()).known);
    child.kill();
}

TEST_CASE("death: a child of the worker, or one of its threads, is not the worker") {
    const process::alarm_clock guard;
    const shared_object<world> w;
    w->sensors[0].reset();
    forked child([&] {
        w->sensors[0].hold();
        std::thread([] {}).join();
        forked([] { return 0; }).wait();
        forked([&] { return w->sensors[0].held() ? 0 : 1; }).wait();
        ++w->said;
        w->bell.ring();
        w->go.wait([&] { return w->said < 0; });
        return 0;
    });
    wait_for_start(*w);
    CHECK_FALSE(wait_for_death(*w, w->sensors[0], false, deadline_after(10ms)));
}

TEST_CASE("death: a sensor serves one worker after the other; nobody holds it twice") {
    const process::alarm_clock guard;
    const shared_object<world> w;
    for (int i = 0; i != 50; ++i) {
        w->said = 0;
        w->sensors[0].reset();
        CHECK_FALSE(w->sensors[0].dead());
        forked child([&] { return live(*w), 0; });
        wait_for_start(*w);
        CHECK_THROWS_AS(w->sensors[0].hold(), std::system_error);
        child.kill();
        if (i % 2 == 0) child.wait();  // dead before the first look
        REQUIRE(wait_for_death(*w, w->sensors[0]));
        CHECK_THROWS_AS(w->sensors[0].hold(), std::system_error);
        CHECK(w->sensors[0].dead());
    }
}

TEST_CASE("death: one of many, more than fit into one sleep") {
    const process::alarm_clock guard;
    for (const std::size_t count : {std::size_t{5}, unit::sanitized ? std::size_t{130} : many}) {
        const shared_object<world> w;
        std::vector<std::unique_ptr<forked>> children;
        for (std::size_t i = 0; i != count; ++i) {
            w->sensors[i].reset();
            children.push_back(std::make_unique<forked>([&] { return live(*w, i), 0; }));
        }
        wait_for_start(*w, static_cast<int>(count));
        children[count - 1]->kill();
        const auto deaths = [&] {
            std::size_t dead = 0;
            for (std::size_t i = 0; i != count; ++i) dead += w->sensors[i].dead();
            return dead;
        };
        while (deaths() == 0) {
            watch_list watches;
            w->bell.announce();
            watches.add(w->bell.watch());
            for (std::size_t i = 0; i != count; ++i) watches.add(w->sensors[i].watch());
            if (deaths() == 0) watches.wait();
        }
        CHECK(deaths() == 1);
        CHECK(w->sensors[count - 1].dead());
    }
}

TEST_CASE("death: of a worker with much memory, long before the memory is gone") {
    const process::alarm_clock guard;
    const std::size_t bytes = unit::sanitized ? 64u << 20 : 1u << 30;
    const shared_object<world> w;
    w->sensors[0].reset();
    forked child([&] {
        void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        live(*w);
        return memory != MAP_FAILED;
    });
    wait_for_start(*w);
    const auto handle = concur::detail::open_pidfd(child.pid());
    REQUIRE(handle);
    const auto start = steady_clock::now();
    REQUIRE(concur::detail::send_signal(handle, SIGKILL));
    REQUIRE(wait_for_death(*w, w->sensors[0]));
    const auto sensed = steady_clock::now();
    const auto end = ending_of(child.pid());
    CHECK(end.known);
    CHECK(end.code == SIGKILL);
    pollfd poller{handle.get(), POLLIN, 0};
    poll(&poller, 1, -1);
    const auto gone = steady_clock::now();
    MESSAGE("sensor " << (sensed - start) / 1us << " us, pidfd " << (gone - start) / 1us << " us");
}

TEST_CASE("ending_of: a zombie, and a process that there is not") {
    forked child([] { return 42; });
    siginfo_t info{};
    waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOWAIT);
    const auto end = ending_of(child.pid());
    CHECK(end.known);
    CHECK_FALSE(end.signalled);
    CHECK(end.code == 42);
    const auto pid = child.pid();
    child.wait();
    CHECK_FALSE(ending_of(pid).known);
    CHECK_FALSE(ending_of(getpid()).known);
}

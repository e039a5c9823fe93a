// SPDX-License-Identifier: BSL-1.0
// Ring, doorbell and death sensor between processes, with workers that are killed at any
// instruction: each call is accounted for, one at most is lost per kill, nobody sleeps for ever.
#include "../unit/load.hpp"
#include "forked.hpp"

#include <concur/detail/ipc/death.hpp>
#include <concur/detail/ipc/doorbell.hpp>
#include <concur/detail/ipc/ring.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

using concur::detail::deadline_after;
using concur::detail::doorbell;
using concur::detail::ending_of;
using concur::detail::fate;
using concur::detail::mix64;
using concur::detail::watch_list;
using process::forked;
using process::shared_object;

namespace {

template <std::size_t Slots>
struct world {
    concur::detail::basic_ring_memory<Slots> ring;
    doorbell pool_bell;
    doorbell worker_bell;
    concur::detail::death_sensor sensor;
    std::atomic<std::uint64_t> wrong;
    std::atomic<std::uint64_t> dies_at;  // a position at which the worker kills itself
    std::uint8_t runs[1 << 23];          // by position
};

/// The worker process: serves until it is killed.
template <std::size_t Slots>
int serve(world<Slots>& w) {
    w.sensor.hold();
    w.pool_bell.ring();
    concur::detail::basic_work_side<Slots> worker(w.ring);
    const concur::detail::call_slot* call = nullptr;
    for (;;) {
        w.worker_bell.wait([&] { return (call = worker.take()) != nullptr; });
        const auto position = call->position();
        ++w.runs[position];
        std::uint64_t value = 0;
        std::memcpy(&value, call->payload, sizeof value);
        if (call->function != mix64(position) || value != ~position) ++w.wrong;
        if (position == w.dies_at && position % 2 == 0) std::raise(SIGKILL);
        worker.reply(position, 0, 8,
                     [&](std::byte* place) { std::memcpy(place, &call->function, 8); });
        if (position == w.dies_at) std::raise(SIGKILL);
        w.pool_bell.ring();
    }
}

struct totals {
    std::size_t replied = 0, revoked = 0, lost = 0, never = 0, wrong = 0;
};

template <std::size_t Slots>
class parent {
public:
    explicit parent(unsigned seed) : random_(seed) {}

    /// One worker's life: about `calls` calls, then a kill.
    void life(std::size_t calls) {
        w_->sensor.reset();
        forked worker([&] { return serve(*w_); });
        const auto until = pool_.next() + calls;
        // Every other worker kills itself in the middle of a call, or before it rings.
        w_->dies_at = random_() % 2 == 0 ? until - random_() % (calls / 2 + 1) : 0;
        while (pool_.next() < until && !w_->sensor.dead()) {
            offer_some();
            maybe_revoke();
            if (!read() && pool_.full()) sleep([&] { return pool_.next_reply() != nullptr; });
        }
        if (random_() % 8 == 0) {  // the worker may be asleep
            sleep([&] { return read(), pool_.oldest() == pool_.next(); });
        }
        // Short delays as often as long ones.
        for (auto spin = random_() % (4u << random_() % 10); spin > 0; --spin) {
            concur::detail::cpu_relax();
        }
        worker.kill();
        while (!w_->sensor.dead()) {
            // A worker that was killed before hold() has no sensor yet: a nursery would tell.
            if (!w_->sensor.held() && ending_of(worker.pid()).known) break;
            if (w_->sensor.held()) sleep([&] { return w_->sensor.dead(); });
        }
        const auto end = ending_of(worker.pid());
        if (!end.known || !end.signalled || end.code != SIGKILL) ++sum.wrong;
        account();
        pool_.restart();
    }

    totals sum;
    std::uint64_t wrong() const { return w_->wrong; }
    std::uint64_t calls() const { return pool_.next() - 1; }

private:
    template <class Ready>
    void sleep(Ready&& ready) {
        for (;;) {
            w_->pool_bell.announce();
            watch_list watches;
            watches.add(w_->pool_bell.watch());
            watches.add(w_->sensor.watch());
            if (ready() || w_->sensor.dead()) break;
            watches.wait();
        }
        w_->pool_bell.withdraw();
    }

    void offer_some() {
        for (auto batch = random_() % Slots + 1; batch > 0 && !pool_.full(); --batch) {
            const auto position = pool_.next();
            pool_.offer(mix64(position), 0, 8, [&](std::byte* place) {
                const auto value = ~position;
                std::memcpy(place, &value, sizeof value);
            });
        }
        w_->worker_bell.ring();
    }

    void maybe_revoke() {
        if (random_() % 4 != 0 || pool_.oldest() == pool_.next()) return;
        const auto position = pool_.oldest() + random_() % (pool_.next() - pool_.oldest());
        if (pool_.revoke(position)) revoked_.push_back(position);
    }

    bool read() {
        bool any = false;
        while (const auto* reply = pool_.next_reply()) {
            std::uint64_t value = 0;
            std::memcpy(&value, reply->payload, sizeof value);
            if (value != mix64(pool_.oldest()) || w_->runs[pool_.oldest()] != 1) ++sum.wrong;
            pool_.pop_reply();
            ++sum.replied;
            any = true;
        }
        return any;
    }

    void account() {
        read();
        std::size_t lost = 0;
        for (auto position = pool_.oldest(); position != pool_.next(); ++position) {
            const auto runs = w_->runs[position];
            switch (pool_.look(position)) {
                case fate::offered:
                    ++sum.never;
                    sum.wrong += runs != 0;
                    break;
                case fate::taken:
                    ++lost;
                    sum.wrong += runs > 1;
                    break;
                case fate::revoked:
                    break;
                case fate::replied:
                    ++sum.wrong;
            }
        }
        sum.wrong += lost > 1;
        sum.lost += lost;
        for (const auto position : revoked_) sum.wrong += w_->runs[position] != 0;
        sum.revoked += revoked_.size();
        revoked_.clear();
    }

    shared_object<world<Slots>> w_;
    concur::detail::basic_call_side<Slots> pool_{w_->ring};
    std::minstd_rand random_;
    std::vector<std::uint64_t> revoked_;
};

template <std::size_t Slots>
void run(std::size_t kills, std::size_t calls) {
    parent<Slots> pool(7);
    for (std::size_t i = 0; i != kills; ++i) pool.life(calls * (i % 4) / 2);
    const auto& sum = pool.sum;
    MESSAGE(kills << " kills, " << pool.calls() << " calls: " << sum.replied << " replied, "
                  << sum.revoked << " revoked, " << sum.lost << " lost, " << sum.never
                  << " never started");
    CHECK(sum.wrong == 0);
    CHECK(pool.wrong() == 0);
    CHECK(sum.replied + sum.revoked + sum.lost + sum.never == pool.calls());
    CHECK(sum.lost <= kills);
    CHECK(sum.never > 0);
    if (kills >= 100) CHECK(sum.lost > 0);
}

}  // namespace

TEST_CASE("ring: workers that are killed") {
    const process::alarm_clock guard;
    SUBCASE("few slots") { run<2>(unit::load(200), 500); }
    SUBCASE("as in use") { run<1024>(unit::load(200), 10'000); }
}

TEST_CASE("doorbell: two processes hand a turn to and fro, and it is never lost") {
    const process::alarm_clock guard;
    constexpr std::uint64_t rounds = unit::load(40'000);
    struct two {
        doorbell bells[2];
        std::atomic<std::uint64_t> turns[2];
    };
    const shared_object<two> w;
    const auto play = [&](std::size_t me) {
        for (std::uint64_t i = 1; i <= rounds; ++i) {
            if (me == 0) {
                w->turns[0] = i;
                w->bells[1].ring();
            }
            const auto ready = [&] { return w->turns[1 - me] >= i; };
            // With deadlines that pass now and then: both ways of sleeping must keep the turn.
            if (i % 2 == 0) {
                w->bells[me].wait(ready);
            } else {
                while (
                    !w->bells[me].wait(ready, deadline_after(std::chrono::microseconds(i % 99))));
            }
            if (me == 1) {
                w->turns[1] = i;
                w->bells[0].ring();
            }
        }
        return 0;
    };
    forked other([&] { return play(1); });
    play(0);
    CHECK(other.wait() == 0);
    CHECK(w->turns[1] == rounds);
}

TEST_CASE("doorbell: a sleeper that is killed costs one useless wake-up") {
    const shared_object<doorbell> bell;
    {
        forked sleeper([&] { return bell->wait([] { return false; }), 0; });
        while (bell->asleep == 0) std::this_thread::yield();
        sleeper.kill();
    }
    const auto before = concur::detail::futex_calls();
    for (int i = 0; i != 3; ++i) bell->ring();
    CHECK(concur::detail::futex_calls() == before + 1);
    // The successor sleeps and is woken as if nothing had been.
    std::atomic<int>& word = *new (reinterpret_cast<std::byte*>(&*bell) + 32) std::atomic<int>{0};
    forked successor([&] { return bell->wait([&] { return word == 1; }) ? 0 : 1; });
    word = 1;
    bell->ring();
    CHECK(successor.wait() == 0);
}

// SPDX-License-Identifier: BSL-1.0
// A queue between processes whose items can be checked, and processes that push and pop while they
// are killed and stopped at random.
#pragma once

#include "forked.hpp"

#include <concur/detail/ipc/queue.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

namespace process {

using concur::detail::mix64;
using concur::detail::queue_shape;
using concur::detail::segment;
using concur::detail::typed_queue_view;

struct queue_item {
    std::uint64_t name;
    std::uint64_t rest[4];

    static queue_item of(std::uint64_t name) {
        return {name, {mix64(name), mix64(name + 1), mix64(name + 2), mix64(name + 3)}};
    }
    bool whole() const {
        const auto other = of(name);
        return std::memcmp(this, &other, sizeof other) == 0;
    }
};

class checked_queue {
public:
    explicit checked_queue(std::uint32_t capacity)
        : memory_(segment::create(queue_shape(capacity, sizeof(queue_item)).bytes())),
          view_(memory_.data(), capacity) {}

    bool push(std::uint64_t name) { return view_.push(queue_item::of(name)); }
    /// 0: nothing there; ~0: something else than was pushed.
    std::uint64_t pop() {
        const auto got = view_.pop();
        return !got ? 0 : got->whole() ? got->name : ~0ull;
    }
    std::size_t size() const { return view_.size(); }
    std::size_t capacity() const { return view_.shape().capacity; }
    std::size_t spare_nodes() { return view_.spare_nodes(); }
    std::size_t spares() const { return view_.shape().nodes - view_.shape().capacity; }

    /// Nobody else is alive: all nodes that no slot names can be had.
    bool whole() {
        std::vector<std::uint64_t> left;
        for (std::uint64_t name; (name = pop()) != 0;) left.push_back(name);
        bool good = size() == 0;
        // More often than there are nodes, so that each that is missing is missed.
        for (std::size_t round = 0; round != 3; ++round) {
            for (std::size_t i = 0; i != capacity(); ++i) good = good && push(i + 1);
            good = good && !push(99) && size() == capacity();
            for (std::size_t i = 0; i != capacity(); ++i) good = good && pop() == i + 1;
        }
        for (const auto name : left) good = good && push(name);
        return good && size() == left.size() && view_.spare_nodes() == spares();
    }

private:
    segment memory_;
    typed_queue_view<queue_item> view_;
};

/// Producers and consumers, each of which may die and has successors.
class queue_war {
public:
    static constexpr std::size_t producers = 3, consumers = 3;

    queue_war(std::uint32_t capacity, std::size_t most_items, unsigned seed)
        : queue_(capacity),
          most_(most_items),
          got_(segment::create(producers * most_items)),
          random_(seed) {
        for (std::size_t who = 0; who != producers + consumers; ++who) start(who);
    }

    /// Kills, stops and lets go on; after each, the others must get further.
    void fight(std::chrono::milliseconds time) {
        const auto end = std::chrono::steady_clock::now() + time;
        while (std::chrono::steady_clock::now() < end && !all_sent()) {
            for (auto spin = random_() % (4u << random_() % 14); spin > 0; --spin) {
                concur::detail::cpu_relax();
            }
            const auto who = random_() % (producers + consumers);
            if (random_() % 4 == 0) {
                ::kill(fighters_[who]->pid(), SIGSTOP);
                others_get_further();
                ::kill(fighters_[who]->pid(), SIGCONT);
            } else {
                fighters_[who]->kill();
                others_get_further();
                ends(who);
                // A zombie for a while, now and then.
                buried_.push_back(std::move(fighters_[who]));
                if (buried_.size() > random_() % 8) buried_.clear();
                start(who);
            }
        }
        for (const auto& fighter : fighters_) fighter->kill();
        for (std::size_t who = 0; who != producers + consumers; ++who) ends(who);
        for (auto& fighter : fighters_) fighter.reset();
        buried_.clear();
    }

    void account() {
        CHECK(queue_.whole());
        for (std::uint64_t name; (name = queue_.pop()) != 0;) note(*world_, name);
        CHECK(queue_.size() == 0);
        std::size_t lost = 0, wrong = 0;
        for (std::size_t who = 0; who != producers; ++who) {
            const std::uint64_t last = world_->trying[who];
            sent += last;
            for (std::uint64_t number = 1; number <= last; ++number) {
                const auto times = at(numbered_as(who, number));
                wrong += times > 1;
                lost += times == 0;
            }
            for (auto number = last + 1; number < most_; ++number) {
                wrong += at(numbered_as(who, number)) != 0;
            }
        }
        // Of those that were perhaps never pushed, one per kill at most.
        std::size_t never = 0;
        for (const auto name : in_doubt_) never += at(name) == 0;
        MESSAGE(sent << " items, " << producer_kills << " producers and " << consumer_kills
                     << " consumers killed: " << never << " perhaps not pushed, " << lost - never
                     << " lost");
        CHECK(wrong == 0);
        CHECK(world_->wrong == 0);
        CHECK(lost <= consumer_kills + never);
    }

    std::uint64_t sent = 0;
    std::size_t producer_kills = 0, consumer_kills = 0;

private:
    static constexpr std::uint64_t step = 1ull << 40;  // names: producer + 1, number from 1

    struct world {
        std::atomic<std::uint64_t> trying[producers], done[producers], popped[consumers], wrong;
    };

    static std::uint64_t numbered_as(std::size_t who, std::uint64_t number) {
        return (who + 1) * step + number;
    }

    /// It was killed: waits for its death, and notes whether it was in the middle of a push.
    void ends(std::size_t who) {
        siginfo_t info{};
        waitid(P_PID, static_cast<id_t>(fighters_[who]->pid()), &info, WEXITED | WNOWAIT);
        ++(who < producers ? producer_kills : consumer_kills);
        if (who >= producers) return;
        const auto name = numbered_as(who, world_->trying[who]);
        // Once, also if the successor dies before it tries the next.
        if (name % step != 0 && world_->done[who] != name &&
            std::exchange(last_in_doubt_[who], name) != name) {
            in_doubt_.push_back(name);
        }
    }

    std::uint8_t at(std::uint64_t name) const { return byte_of(name); }
    std::atomic<std::uint8_t>& byte_of(std::uint64_t name) const {
        return reinterpret_cast<std::atomic<std::uint8_t>*>(
            got_.data())[(name / step - 1) * most_ + name % step];
    }

    void note(world& w, std::uint64_t name) const {
        const auto who = name / step - 1;
        if (who >= producers || name % step >= most_ || name % step > w.trying[who]) {
            ++w.wrong;
        } else {
            ++byte_of(name);
        }
    }

    bool all_sent() const {
        for (const auto& n : world_->trying) {
            if (n + 1 < most_) return false;
        }
        return true;
    }

    void start(std::size_t who) {
        fighters_[who] = std::make_unique<forked>(
            [this, who] { return who < producers ? produce(who) : consume(who - producers); });
    }

    int produce(std::size_t me) {
        auto& w = *world_;
        for (;;) {
            const auto number = w.trying[me] + 1;
            if (number >= most_) return 0;
            w.trying[me] = number;
            while (!queue_.push(numbered_as(me, number))) std::this_thread::yield();
            w.done[me] = numbered_as(me, number);
        }
    }

    int consume(std::size_t me) {
        auto& w = *world_;
        std::uint64_t last[producers] = {};
        for (;;) {
            const auto name = queue_.pop();
            if (name == 0) {
                std::this_thread::yield();
                continue;
            }
            note(w, name);
            const auto who = name / step - 1;
            if (who < producers && name <= std::exchange(last[who], name)) ++w.wrong;
            ++w.popped[me];
        }
    }

    std::uint64_t all_popped() const {
        std::uint64_t all = 0;
        for (const auto& n : world_->popped) all += n;
        return all;
    }

    /// Hangs, until the alarm clock, if they do not.
    void others_get_further() const {
        const auto enough = all_popped() + 100;
        while (all_popped() < enough && !all_sent()) std::this_thread::yield();
    }

    checked_queue queue_;
    std::size_t most_;
    segment got_;  // how often it came, by producer and number
    shared_object<world> world_;
    std::minstd_rand random_;
    std::unique_ptr<forked> fighters_[producers + consumers];
    std::vector<std::unique_ptr<forked>> buried_;
    std::uint64_t last_in_doubt_[producers] = {};
    std::vector<std::uint64_t> in_doubt_;  // where a killed producer was
};

}  // namespace process

// SPDX-License-Identifier: BSL-1.0
// The ring between the pool and one worker, step by step.
#include <concur/detail/ipc/ring.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <string>

using concur::detail::fate;

namespace {

constexpr std::size_t slots = 4;
using memory = concur::detail::basic_ring_memory<slots>;

constexpr auto nothing = [](std::byte*) {};

struct fixture {
    std::unique_ptr<memory> ring = std::make_unique<memory>();
    concur::detail::basic_call_side<slots> pool{*ring};
    concur::detail::basic_work_side<slots> worker{*ring};

    std::uint64_t offer() { return pool.offer(0, 0, 0, nothing); }
    /// The position of the call that the worker takes; 0: none.
    std::uint64_t take() {
        const auto* call = worker.take();
        return call == nullptr ? 0 : call->position();
    }
    void reply(std::uint64_t position) { worker.reply(position, 0, 0, nothing); }
    /// The position of the reply that the pool reads; 0: none.
    std::uint64_t read() {
        const auto* reply = pool.next_reply();
        if (reply == nullptr) return 0;
        const auto position = reply->done.load();
        pool.pop_reply();
        return position;
    }
};

}  // namespace

TEST_CASE_FIXTURE(fixture, "ring: a call and its reply") {
    CHECK(worker.take() == nullptr);
    CHECK(pool.next_reply() == nullptr);
    const auto position =
        pool.offer(11, 22, 5, [](std::byte* place) { std::memcpy(place, "call", 5); });
    CHECK(position == 1);
    CHECK(pool.look(1) == fate::offered);
    const auto* call = worker.take();
    REQUIRE(call != nullptr);
    CHECK(call->position() == 1);
    CHECK(call->function == 11);
    CHECK(call->kind == 22);
    CHECK(call->bytes == 5);
    CHECK(std::string(reinterpret_cast<const char*>(call->payload)) == "call");
    CHECK(pool.look(1) == fate::taken);
    CHECK(worker.take() == nullptr);
    CHECK(pool.next_reply() == nullptr);
    worker.reply(1, 33, 6, [](std::byte* place) { std::memcpy(place, "reply", 6); });
    CHECK(pool.look(1) == fate::replied);
    const auto* reply = pool.next_reply();
    REQUIRE(reply != nullptr);
    CHECK(reply->kind == 33);
    CHECK(reply->bytes == 6);
    CHECK(std::string(reinterpret_cast<const char*>(reply->payload)) == "reply");
    CHECK(pool.oldest() == 1);
    pool.pop_reply();
    CHECK(pool.oldest() == 2);
    CHECK(pool.next() == 2);
    CHECK(pool.next_reply() == nullptr);
}

TEST_CASE_FIXTURE(fixture, "ring: full until the oldest reply is read, for many turns") {
    for (std::uint64_t turn = 0; turn != 20; ++turn) {
        for (std::size_t i = 0; i != slots; ++i) {
            CHECK_FALSE(pool.full());
            CHECK(offer() == turn * slots + i + 1);
        }
        CHECK(pool.full());
        for (std::size_t i = 1; i <= slots; ++i) {
            CHECK(take() == turn * slots + i);
            CHECK(pool.full());
            reply(turn * slots + i);
        }
        CHECK(take() == 0);
        for (std::size_t i = 1; i <= slots; ++i) {
            CHECK(read() == turn * slots + i);
            CHECK_FALSE(pool.full());
        }
        CHECK(read() == 0);
    }
}

TEST_CASE_FIXTURE(fixture, "ring: a revoked call never starts, a started one cannot be revoked") {
    for (int i = 0; i != 3; ++i) offer();
    CHECK(pool.revoke(2));
    CHECK_FALSE(pool.revoke(2));
    CHECK(pool.look(2) == fate::revoked);
    CHECK(take() == 1);
    CHECK_FALSE(pool.revoke(1));
    CHECK(take() == 3);
    reply(1);
    CHECK_FALSE(pool.revoke(1));
    reply(3);
    CHECK(read() == 1);
    CHECK(pool.oldest() == 3);
    CHECK(read() == 3);
    CHECK(read() == 0);
}

TEST_CASE_FIXTURE(fixture, "ring: what is revoked at the front makes room") {
    for (std::size_t i = 0; i != slots; ++i) offer();
    CHECK(pool.revoke(2));
    CHECK(pool.full());
    CHECK(pool.revoke(1));
    CHECK_FALSE(pool.full());
    CHECK(pool.oldest() == 3);
    CHECK(offer() == 5);
    CHECK(offer() == 6);
    CHECK(pool.full());
    for (std::uint64_t position = 3; position <= 6; ++position) {
        CHECK(take() == position);
        reply(position);
    }
    for (std::uint64_t position = 3; position <= 6; ++position) CHECK(read() == position);
}

TEST_CASE_FIXTURE(fixture, "ring: a worker that has slept over many turns finds its place") {
    for (const int turns : {1, 5, 10}) {
        for (int i = 0; i != turns * static_cast<int>(slots) - 1; ++i) CHECK(pool.revoke(offer()));
        const auto position = offer();
        CHECK(take() == position);
        reply(position);
        CHECK(read() == position);
        const auto last = offer();
        CHECK(pool.revoke(last));
        CHECK(take() == 0);
    }
}

TEST_CASE_FIXTURE(fixture, "ring: what became of the calls of a dead worker, and its successor") {
    for (int i = 0; i != 3; ++i) offer();
    CHECK(take() == 1);
    reply(1);
    CHECK(read() == 1);
    offer();
    offer();
    CHECK(take() == 2);
    reply(2);
    CHECK(take() == 3);
    CHECK(pool.revoke(4));
    CHECK(read() == 2);
    CHECK(read() == 0);
    CHECK(pool.look(3) == fate::taken);
    CHECK(pool.look(4) == fate::revoked);
    CHECK(pool.look(5) == fate::offered);
    pool.restart();
    CHECK(pool.oldest() == pool.next());
    concur::detail::basic_work_side<slots> successor(*ring);
    CHECK(successor.take() == nullptr);
    for (int turn = 0; turn != 3; ++turn) {
        for (std::size_t i = 0; i != slots; ++i) offer();
        CHECK(pool.full());
        for (std::size_t i = 0; i != slots; ++i) {
            const auto* call = successor.take();
            REQUIRE(call != nullptr);
            CHECK(call->position() == pool.oldest());
            successor.reply(call->position(), 0, 0, nothing);
            CHECK(read() != 0);
        }
        CHECK(successor.take() == nullptr);
    }
}

TEST_CASE_FIXTURE(fixture, "ring: a payload that cannot be written was not offered, not replied") {
    const auto fails = [](std::byte*) { throw 1; };
    CHECK_THROWS(pool.offer(0, 0, 0, fails));
    CHECK(take() == 0);
    CHECK(offer() == 1);
    CHECK(take() == 1);
    CHECK_THROWS(worker.reply(1, 0, 0, fails));
    CHECK(read() == 0);
    reply(1);
    CHECK(read() == 1);
}

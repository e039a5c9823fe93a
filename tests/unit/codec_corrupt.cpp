// SPDX-License-Identifier: BSL-1.0
// The codec on bytes that nobody wrote: codec_error or another value, and memory in proportion to
// the message.
#include <concur/codec.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

using concur::codec_error;
using concur::decode;
using concur::encode;

namespace {

// What operator new was asked for, in this thread, since the last look.
thread_local std::size_t asked = 0;

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t bytes) {
    asked += bytes;
    if (void* const found = std::malloc(bytes)) return found;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace {

struct point {
    double x, y;
    bool set;
};
struct part {
    std::string name;
    std::vector<point> points;
    std::optional<std::string> note;
    std::variant<int, std::string, std::vector<int>> extra;
    std::map<std::string, std::vector<int>> index;
};
struct tree {
    int value;
    std::vector<tree> children;
};
struct silent {  // takes no bytes
    template <class A>
    void serialize(A&) {}
};
struct message {
    int id;
    std::vector<part> parts;
    std::set<int> numbers;
    std::vector<bool> flags;
    std::unique_ptr<part> owned;
    std::unordered_map<int, std::string> names;
    std::array<std::string, 2> labels;
    std::vector<std::vector<std::string>> table;
    tree root;
    std::vector<silent> quiet;
    std::vector<std::monostate> units;
    std::tuple<bool, char, std::optional<int>> flag;
};

message some_message() {
    const part one{"part", {{1, 2, true}, {3, 4, false}}, "note", "text", {{"a", {1, 2}}}};
    return {7,
            {one, {"", {}, {}, 5, {}}, {"third", {}, {}, std::vector<int>{1, 2, 3}, {}}},
            {1, 2, 3},
            {true, false, true, true, true, true, true, true, true, false},
            std::make_unique<part>(one),
            {{1, "one"}, {2, "two"}},
            {"x", "y"},
            {{"a", "b"}, {}, {"c"}},
            {1, {{2, {}}, {3, {{4, {}}}}}},
            std::vector<silent>(3),
            std::vector<std::monostate>(5),
            {true, 'x', 3}};
}

// The most memory for a byte is a node of a set or map, or a silent: see least_size().
constexpr std::size_t most_per_byte = 32;

enum class fate { rejected, accepted };

/// Anything but a codec_error goes up and fails the test, as an overlarge allocation does.
template <class T>
fate read_from(const std::vector<std::byte>& bytes) {
    // A copy of the exact size on the heap: AddressSanitizer sees the first byte read too far.
    const std::unique_ptr<std::byte[]> exact(new std::byte[bytes.size()]);
    std::copy(bytes.begin(), bytes.end(), exact.get());
    asked = 0;
    auto result = fate::accepted;
    try {
        static_cast<void>(decode<T>(std::span<const std::byte>(exact.get(), bytes.size())));
    } catch (const codec_error&) {
        result = fate::rejected;
    }
    const auto bound = most_per_byte * bytes.size() + 1024;
    if (asked > bound) FAIL("asked for " << asked << " bytes, for a message of " << bytes.size());
    return result;
}

}  // namespace

TEST_CASE("codec: every single bit flipped") {
    auto bytes = encode(some_message());
    REQUIRE(bytes.size() > 600);
    REQUIRE(read_from<message>(bytes) == fate::accepted);
    std::size_t rejected = 0;
    for (std::size_t i = 0; i != bytes.size() * 8; ++i) {
        const auto bit = std::byte{1} << static_cast<int>(i % 8);
        bytes[i / 8] ^= bit;
        if (read_from<message>(bytes) == fate::rejected) ++rejected;
        bytes[i / 8] ^= bit;
    }
    CHECK(rejected >
          bytes.size() / 2);  // lengths, flags and indices; other payload may be anything
    CHECK(rejected < bytes.size() * 8);
}

TEST_CASE("codec: every truncation, and a byte too many") {
    const auto bytes = encode(some_message());
    for (std::size_t n = 0; n != bytes.size(); ++n) {
        const std::vector<std::byte> cut(bytes.begin(),
                                         bytes.begin() + static_cast<std::ptrdiff_t>(n));
        if (read_from<message>(cut) != fate::rejected) FAIL("accepted the first " << n << " bytes");
    }
    auto longer = bytes;
    longer.push_back(std::byte{0});
    CHECK(read_from<message>(longer) == fate::rejected);
}

TEST_CASE("codec: random bytes, and random words over good ones") {
    std::mt19937_64 random(1);
    const auto good = encode(some_message());
    for (int round = 0; round != 20'000; ++round) {
        std::vector<std::byte> bytes;
        if (round % 2) {
            bytes.resize(random() % 300);
            for (auto& each : bytes) each = static_cast<std::byte>(random() % 4 ? 0 : random());
        } else {
            bytes = good;
            for (int n = 0; n != 3; ++n) {
                // Lengths a little too large are the mean ones.
                const std::uint64_t word = random() % 3 ? random() % 400 : random();
                std::memcpy(&bytes[random() % (bytes.size() / 8) * 8], &word, sizeof word);
            }
        }
        read_from<message>(bytes);
    }
}

TEST_CASE("codec: a length that the message cannot hold costs nothing") {
    for (const std::uint64_t length :
         {std::uint64_t{200'000'000}, std::numeric_limits<std::uint64_t>::max(),
          std::numeric_limits<std::uint64_t>::max() / 8 + 1, std::uint64_t{1} << 61}) {
        const auto bytes = encode(std::pair(length, length));
        CHECK(read_from<std::vector<double>>(bytes) == fate::rejected);
        CHECK(read_from<std::string>(bytes) == fate::rejected);
        CHECK(read_from<std::vector<bool>>(bytes) == fate::rejected);
        CHECK(read_from<std::vector<std::monostate>>(bytes) == fate::rejected);
        CHECK(read_from<std::vector<silent>>(bytes) == fate::rejected);
        CHECK(read_from<std::unordered_map<int, int>>(bytes) == fate::rejected);
    }
}

TEST_CASE("codec: lengths inside lengths do not claim the same bytes twice") {
    // Each tree claims as many children as the rest could hold: in all, that would be quadratic.
    std::vector<std::byte> bytes(16 * 900);
    for (std::size_t at = 0; at != bytes.size(); at += 16) {
        const std::uint64_t claim = (bytes.size() - at - 16) / 12;
        std::memcpy(&bytes[at + 8], &claim, sizeof claim);
    }
    CHECK(read_from<tree>(bytes) == fate::rejected);
}

TEST_CASE("codec: a bool that is none, also inside plain bytes") {
    auto bytes = encode(true);
    bytes[0] = std::byte{2};
    CHECK(read_from<bool>(bytes) == fate::rejected);
    bytes = encode(std::vector<point>(3));
    bytes[8 + 2 * sizeof(point) + offsetof(point, set)] = std::byte{2};
    CHECK(read_from<std::vector<point>>(bytes) == fate::rejected);
    bytes = encode(std::optional<int>(1));
    bytes[0] = std::byte{2};
    CHECK(read_from<std::optional<int>>(bytes) == fate::rejected);
}

TEST_CASE("codec: a variant's index, a key that is there twice") {
    auto bytes = encode(std::variant<int, char>(1));
    bytes[0] = std::byte{2};
    CHECK(read_from<std::variant<int, char>>(bytes) == fate::rejected);
    CHECK(read_from<std::set<int>>(encode(std::vector<int>{1, 1})) == fate::rejected);
}

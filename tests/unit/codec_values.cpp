// SPDX-License-Identifier: BSL-1.0
// The codec: what goes in comes out, whatever its shape; alignment, sizes, depth.
#include <concur/codec.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <complex>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

using concur::codec_error;
using concur::decode;
using concur::encode;
using concur::detail::crosses;
using concur::detail::fixed_wire_size;
using concur::detail::read_pass;
using concur::detail::size_pass;
using concur::detail::write_pass;

namespace {

template <class T>
void comes_back(const T& value) {
    CHECK(decode<T>(encode(value)) == value);
}

enum class colour : std::uint8_t { red, green };
enum unscoped { one = 1, two };

struct nothing {
    bool operator==(const nothing&) const = default;
};
struct point {
    double x, y;
    std::int16_t tag;
    bool operator==(const point&) const = default;
};
struct cell {
    int id;
    double position[3];
    char name[8];
    std::string text[2];
    point corners[2][2];
    bool operator==(const cell&) const = default;
};
struct tree {
    int value;
    std::vector<tree> children;
    std::map<std::string, tree> named;
    bool operator==(const tree&) const = default;
};
struct chain {
    int value;
    std::unique_ptr<chain> next;
};
class fixed {  // no default: made from its bytes
public:
    explicit fixed(int value) : value_(value) {}
    bool operator==(const fixed&) const = default;

private:
    int value_;
};
struct constant {
    const int number;
    const std::string text;
    fixed third;
    bool operator==(const constant&) const = default;
};
struct sim {
    int id;
    double time;
    std::string name;
    std::vector<double> state;
    std::map<std::string, std::vector<int>> index;
    std::optional<std::string> note;
    std::variant<int, std::string, point> extra;
    std::pair<int, double> best;
    std::array<std::string, 3> labels;
    std::vector<std::tuple<int, std::string, bool>> rows;
    std::vector<bool> flags;
    colour shade;
    nothing tail;
    bool operator==(const sim&) const = default;
};

struct bomb {
    bomb() = default;
    explicit bomb(int) { throw 1; }
    template <class A>
    void serialize(A& ar) {
        ar(text);
    }
    std::string text;
};

sim some_sim() {
    return {1,
            2.5,
            "name",
            {1, 2, 3},
            {{"a", {1, 2}}, {"", {}}},
            "note",
            std::string("extra"),
            {3, 4.5},
            {"x", "", std::string(100, 'y')},
            {{1, "one", true}, {2, "", false}},
            {true, false, true},
            colour::green,
            {}};
}

struct bit_fields {
    unsigned a : 3;
    unsigned b : 5;
    bool c : 1;
    bool operator==(const bit_fields&) const = default;
};
struct alignas(64) wide {
    double lane[8];
    bool operator==(const wide&) const = default;
};
struct alignas(128) wider {
    double lane[16];
    bool operator==(const wider&) const = default;
};

}  // namespace

TEST_CASE("codec: numbers, enums, empty types") {
    comes_back(1);
    comes_back(-1L);
    comes_back(true);
    comes_back('x');
    comes_back(u'x');
    comes_back(std::numeric_limits<std::uint64_t>::max());
    comes_back(1.5f);
    comes_back(-0.25L);
    comes_back(colour::green);
    comes_back(two);
    comes_back(nullptr);
    comes_back(nothing{});
    comes_back(std::monostate{});
    comes_back(std::byte{7});
    CHECK(encode(nothing{}).empty());
}

TEST_CASE("codec: plain structs, arrays in them, bit-fields, chrono, complex") {
    comes_back(point{1, 2, 3});
    comes_back(bit_fields{5, 17, true});
    comes_back(std::chrono::seconds(5));
    comes_back(std::chrono::steady_clock::now());
    comes_back(std::complex<double>(1, 2));
    comes_back(fixed(3));
    comes_back(std::array<point, 2>{{{1, 2, 3}, {4, 5, 6}}});
    comes_back(cell{1, {1, 2, 3}, "seven", {"a", "b"}, {{{1, 2, 3}}}});
    CHECK(encode(point{1, 2, 3}).size() == sizeof(point));
}

TEST_CASE("codec: strings and containers") {
    comes_back(std::string());
    comes_back(std::string("a\0b", 3));
    comes_back(std::u32string(U"abc"));
    comes_back(std::vector<double>());
    comes_back(std::vector<double>{1, 2, 3});
    comes_back(std::vector<point>{{1, 2, 3}, {4, 5, 6}});
    comes_back(std::vector<std::string>{"a", "", "c"});
    comes_back(std::vector<std::vector<int>>{{1}, {}, {2, 3}});
    comes_back(std::vector<std::monostate>(1000));
    comes_back(std::deque<int>{1, 2});
    comes_back(std::list<std::string>{"a", "b"});
    comes_back(std::set<std::string>{"a", "b"});
    comes_back(std::multiset<int>{1, 1, 2});
    comes_back(std::map<int, std::string>{{1, "a"}, {2, "b"}});
    comes_back(std::multimap<int, int>{{1, 2}, {1, 3}});
    comes_back(std::unordered_set<int>{1, 2, 3});
    comes_back(std::unordered_map<std::string, int>{{"a", 1}, {"b", 2}});
    comes_back(std::array<std::string, 2>{"a", "b"});
    comes_back(std::array<fixed, 2>{fixed(1), fixed(2)});
    comes_back(std::array<std::string, 0>{});
}

TEST_CASE("codec: vector<bool> of every length around a byte") {
    for (std::size_t n = 0; n != 20; ++n) {
        std::vector<bool> bits(n);
        for (std::size_t i = 0; i < n; i += 3) bits[i] = true;
        comes_back(bits);
    }
}

TEST_CASE("codec: optional, variant, pair, tuple") {
    comes_back(std::optional<int>());
    comes_back(std::optional<int>(0));
    comes_back(std::optional<std::string>("a"));
    comes_back(std::optional<std::optional<int>>(std::optional<int>()));
    comes_back(std::variant<int, std::string>("a"));
    comes_back(std::variant<int, int>(std::in_place_index<1>, 3));
    comes_back(std::variant<fixed, std::string>(fixed(3)));
    comes_back(std::pair<int, double>(1, 2.5));
    comes_back(std::tuple<int, std::string, std::tuple<>>(1, "a", {}));
}

TEST_CASE("codec: move-only values") {
    std::vector<std::unique_ptr<std::string>> owners;
    owners.push_back(std::make_unique<std::string>("a"));
    owners.push_back(nullptr);
    const auto back = decode<decltype(owners)>(encode(owners));
    REQUIRE(back.size() == 2);
    CHECK(*back[0] == "a");
    CHECK(back[1] == nullptr);
    const auto shared = decode<std::unique_ptr<const int>>(encode(std::make_unique<const int>(4)));
    CHECK(*shared == 4);
}

TEST_CASE("codec: aggregates, members of every kind") {
    comes_back(some_sim());
    comes_back(std::vector<sim>(3, some_sim()));
    comes_back(constant{1, "a", fixed(2)});
}

TEST_CASE("codec: types that hold themselves") {
    comes_back(tree{1, {{2, {}, {}}, {3, {{4, {}, {}}}, {}}}, {{"a", {5, {}, {}}}}});
    const chain two_links{1, std::make_unique<chain>(chain{2, nullptr})};
    CHECK(decode<chain>(encode(two_links)).next->value == 2);
}

TEST_CASE("codec: depth is bounded, on both sides") {
    auto links = [](std::size_t n) {
        chain head{0, nullptr};
        while (--n > 0) head = {0, std::make_unique<chain>(std::move(head))};
        return head;
    };
    const auto deepest = encode(links(1001));
    CHECK(decode<chain>(deepest).next);
    CHECK_THROWS_AS(encode(links(1002)), codec_error);
    // The bytes of one more: another {value, 1} in front.
    auto too_deep = std::vector<std::byte>(deepest.begin(), deepest.begin() + 8);
    too_deep.insert(too_deep.end(), deepest.begin(), deepest.end());
    CHECK_THROWS_AS(decode<chain>(too_deep), codec_error);
}

TEST_CASE("codec: several values in one frame, each aligned as in memory") {
    const std::vector<wide> lanes(3, wide{{1, 2, 3}});
    size_pass size;
    size('x', std::string("abc"), lanes, 2.5, wider{{4}});
    struct alignas(64) block {
        std::byte bytes[64];
    };
    std::vector<block> room(size.bytes() / 64 + 1);
    auto* const frame = room[0].bytes;
    write_pass write(frame, size.bytes());
    write('x', std::string("abc"));
    write(lanes, 2.5, wider{{4}});
    CHECK(write.bytes() == size.bytes());

    read_pass read(frame, size.bytes());
    CHECK(read.get<char>() == 'x');
    CHECK(read.get<std::string>() == "abc");
    CHECK(read.get<std::vector<wide>>() == lanes);
    CHECK((read.position() - sizeof(wide) * 3) % 64 == 0);
    CHECK(read.get<double>() == 2.5);
    CHECK(read.position() % alignof(double) == 0);
    CHECK_THROWS_AS(read.require_end(), codec_error);
    CHECK(read.get<wider>() == wider{{4}});
    read.require_end();
}

TEST_CASE("codec: a frame may stand anywhere") {
    const auto value = std::make_pair(std::vector<double>{1, 2, 3}, std::vector<point>{{1, 2, 3}});
    const auto bytes = encode(value);
    for (std::size_t offset = 0; offset != 16; ++offset) {
        std::vector<std::byte> room(bytes.size() + offset);
        std::copy(bytes.begin(), bytes.end(), room.begin() + static_cast<std::ptrdiff_t>(offset));
        const auto at = std::span<const std::byte>(room).subspan(offset);
        CHECK(decode<std::remove_const_t<decltype(value)>>(at) == value);
    }
}

TEST_CASE("codec: a value that grows between the passes is refused, not written too far") {
    std::string text = "abc";
    size_pass size;
    size(text);
    std::vector<std::byte> room(size.bytes() + 8, std::byte{0x55});
    text += "def";
    write_pass write(room.data(), size.bytes());
    CHECK_THROWS_AS(write(text), codec_error);
    for (auto i = size.bytes(); i != room.size(); ++i) CHECK(room[i] == std::byte{0x55});
}

TEST_CASE("codec: a variant that lost its value is refused") {
    std::variant<std::string, bomb> broken("a");
    CHECK_THROWS(broken.emplace<bomb>(1));
    REQUIRE(broken.valueless_by_exception());
    CHECK_THROWS_AS(encode(broken), codec_error);
}

TEST_CASE("codec: gaps are zero, so equal values give equal bytes") {
    const std::tuple<char, double, char, std::string> value('a', 1.5, 'b', "c");
    std::vector<std::byte> first(64, std::byte{0xff}), second(64, std::byte{0});
    write_pass one(first.data(), 64), other(second.data(), 64);
    one(value);
    other(value);
    first.resize(one.bytes());
    second.resize(other.bytes());
    CHECK(first == second);
}

TEST_CASE("codec: what has one size says so before it is there") {
    static_assert(fixed_wire_size<int> == 4);
    static_assert(fixed_wire_size<point> == sizeof(point));
    static_assert(fixed_wire_size<std::pair<char, double>> == 16);
    static_assert(fixed_wire_size<std::tuple<int, colour>> == 5);
    static_assert(fixed_wire_size<int (*)(int)> == 16);
    static_assert(fixed_wire_size<std::string> == 0);
    static_assert(fixed_wire_size<std::optional<int>> == 0);
    static_assert(fixed_wire_size<nothing> == 0);
    CHECK(encode(std::pair<char, double>()).size() == 16);
    CHECK(encode(std::tuple<int, colour>()).size() == 5);
}

TEST_CASE("codec: what does not cross is known without an error") {
    struct compare {
        int how;
        bool operator()(int a, int b) const { return a < b; }
    };
    struct names : std::vector<std::string> {
        int extra = 0;
    };
    static_assert(!crosses<int*> && !crosses<const char*> && !crosses<int&>);
    static_assert(!crosses<std::string_view> && !crosses<std::vector<int>::iterator>);
    static_assert(!crosses<std::reference_wrapper<int>> && !crosses<std::error_code>);
    static_assert(!crosses<std::shared_ptr<int>> && !crosses<std::unique_ptr<int[]>>);
    static_assert(!crosses<std::optional<int*>> && !crosses<std::map<int, std::string_view>>);
    static_assert(!crosses<std::set<int, compare>>);  // its order would be lost
    static_assert(!crosses<names>);                   // what it adds to the vector would be lost
    static_assert(!crosses<std::atomic<int>> && !crosses<std::mutex>);
    static_assert(crosses<sim> && crosses<const sim> && crosses<tree> && crosses<chain>);
}

// SPDX-License-Identifier: BSL-1.0
// The codec: types that say themselves how they travel, and who is asked first.
#include <concur/codec.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using concur::decode;
using concur::encode;

namespace user {

/// Private members, function and default constructor.
class page {
public:
    explicit page(std::string text) : text_(std::move(text)), length_(text_.size()) {}
    const std::string& text() const { return text_; }
    std::size_t length() const { return length_; }

private:
    friend class concur::access;
    page() = default;

    template <class A>
    void serialize(A& ar) {
        ar(text_);
        if constexpr (A::is_loading::value) length_ = text_.size();
    }

    std::string text_;
    std::size_t length_ = 0;
};

/// A type of somebody else's.
class celsius {
public:
    double degrees() const { return degrees_; }
    void set(double degrees) { degrees_ = degrees; }

private:
    double degrees_ = 0;
    std::string unit_ = "C";
};

template <class A>
void concur_serialize(A& ar, celsius& value) {
    double degrees = value.degrees();
    ar(degrees);
    value.set(degrees);
}

/// Trivially copyable and an aggregate, but it says itself.
struct counted {
    int value = 0;
    static inline int calls = 0;
    template <class A>
    void serialize(A& ar) {
        ++calls;
        ar(value);
    }
};
template <class A>
void concur_serialize(A& ar, counted& c) {
    FAIL("the member is asked first");
    ar(c.value);
}

/// The same by the free function.
struct tagged {
    int value = 0;
    int cache = 0;
};
template <class A>
void concur_serialize(A& ar, tagged& t) {
    ar(t.value);
}

struct around {
    counted inner;
    int other;
};

struct opaque {
    const char* text;  // of the program: the same in every process that was forked from this one
    bool operator==(const opaque&) const = default;
};

union word {
    int i;
    float f;
};

struct list {
    int value = 0;
    list* next = nullptr;  // owned
    list() = default;
    list(const list&) = delete;
    list(list&& other) noexcept : value(other.value), next(std::exchange(other.next, nullptr)) {}
    ~list() { delete next; }
    template <class A>
    void serialize(A& ar) {
        bool more = next != nullptr;
        ar(value, more);
        if (more) {
            if (!next) next = new list;
            ar(*next);
        }
    }
};
}  // namespace user

template <>
inline constexpr bool concur::trust_bytes<user::opaque> = true;
template <>
inline constexpr bool concur::trust_bytes<user::word> = true;

TEST_CASE("codec: a member serialize, all private") {
    const auto back = decode<user::page>(encode(user::page("abc")));
    CHECK(back.text() == "abc");
    CHECK(back.length() == 3);
    const auto pages = decode<std::vector<user::page>>(encode(std::vector(3, user::page("x"))));
    CHECK(pages.at(2).text() == "x");
}

TEST_CASE("codec: a free function for a type of somebody else's") {
    user::celsius warm;
    warm.set(21.5);
    CHECK(decode<user::celsius>(encode(warm)).degrees() == 21.5);
    CHECK(encode(warm).size() == sizeof(double));
}

TEST_CASE("codec: the member comes before the free function, before bytes, before members") {
    user::counted::calls = 0;
    CHECK(decode<user::counted>(encode(user::counted{3})).value == 3);
    CHECK(user::counted::calls == 3);  // size, write, read
}

TEST_CASE("codec: the free function comes before bytes") {
    const auto back = decode<user::tagged>(encode(user::tagged{3, 4}));
    CHECK(back.value == 3);
    CHECK(back.cache == 0);
}

TEST_CASE("codec: a member that says itself is asked, also in a struct of plain bytes") {
    user::counted::calls = 0;
    const auto back = decode<user::around>(encode(user::around{{3}, 4}));
    CHECK(back.inner.value == 3);
    CHECK(back.other == 4);
    CHECK(user::counted::calls == 3);
    const auto many = encode(std::vector<user::around>(2));
    CHECK(user::counted::calls == 3 + 4);
    CHECK(decode<std::vector<user::around>>(many).size() == 2);
}

TEST_CASE("codec: trust_bytes") {
    const user::opaque text{"abc"};
    CHECK(decode<user::opaque>(encode(text)) == text);
    CHECK(decode<std::vector<user::opaque>>(encode(std::vector{text})).at(0) == text);
    CHECK(decode<user::word>(encode(user::word{.f = 1.5f})).f == 1.5f);
}

TEST_CASE("codec: a serialize that calls itself is bounded") {
    auto make = [](int n) {
        user::list head;
        for (int i = 1; i != n; ++i) {
            auto* const rest = new user::list(std::move(head));
            head.value = i;
            head.next = rest;
        }
        return head;
    };
    CHECK(encode(make(1000)).size() > 1000);
    CHECK_THROWS_AS(encode(make(1001)), concur::codec_error);
}

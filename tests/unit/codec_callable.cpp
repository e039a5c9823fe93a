// SPDX-License-Identifier: BSL-1.0
// The codec on callables: functions, lambdas, structs, partial, unpack, retry; and lambdas that
// hold the address of a local.
#include <concur/codec.hpp>

#include <concur/callable.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

using concur::encode;
using concur::partial;
using concur::retry;
using concur::unpack;
using concur::detail::check_callable;
using concur::detail::crosses;
using concur::detail::read_callable;
using concur::detail::read_pass;
using concur::detail::require_no_local_captured;

// clang's AddressSanitizer keeps locals in a heap of its own otherwise.
extern "C" const char* __asan_default_options() { return "detect_stack_use_after_return=0"; }

namespace {

int doubled(int x) { return 2 * x; }
int quiet(int x) noexcept { return 3 * x; }

/// What the other side has.
template <class F>
F sent(const F& f) {
    static_assert(check_callable<F>());
    require_no_local_captured(f);
    const auto bytes = encode(f);
    read_pass in(bytes.data(), bytes.size());
    auto back = read_callable<F>(in);
    in.require_end();
    return back;
}

struct greeting {
    std::string text;
    std::vector<int> numbers;
    std::string operator()(int x) const { return text + std::to_string(numbers.at(0) + x); }
};

template <class F>
bool refused(const F& f) {
    try {
        require_no_local_captured(f);
    } catch (const std::invalid_argument& e) {
        CHECK(std::string(e.what()).find("captures a local by reference") != std::string::npos);
        return true;
    }
    return false;
}

struct object {
    int member = 1;
    auto by_this() {
        return [this] { return member; };
    }
};

}  // namespace

TEST_CASE("callable: functions, as module and offset") {
    CHECK(sent(&doubled)(4) == 8);
    CHECK(sent(&quiet)(4) == 12);
    CHECK(encode(&doubled).size() == 16);
    std::uint64_t words[2];
    std::memcpy(words, encode(&doubled).data(), sizeof words);
    CHECK(words[1] != reinterpret_cast<std::uintptr_t>(&doubled));
    using function = int (*)(int);
    CHECK_FALSE(static_cast<bool>(sent(function{nullptr})));
    CHECK(sent(std::vector<function>{&doubled})[0](1) == 2);

    words[0] ^= 1;
    auto bytes = encode(&doubled);
    std::memcpy(bytes.data(), words, sizeof words);
    CHECK_THROWS_AS(concur::decode<function>(bytes), concur::codec_error);
}

TEST_CASE("callable: a function that is in no module is refused") {
    static int not_code[4];
    (void)not_code;
    std::vector<std::byte> heap(64);
    const auto made = reinterpret_cast<int (*)(int)>(heap.data());
    CHECK_THROWS_AS(encode(made), concur::codec_error);
}

TEST_CASE("callable: lambdas that capture nothing take no bytes") {
    auto f = [](int x) { return x + 1; };
    CHECK(encode(f).empty());
    CHECK(sent(f)(1) == 2);
}

TEST_CASE("callable: lambdas that capture plain values") {
    int i = 3;
    double d = 0.5;
    auto f = [i, d](int x) { return x + i + d; };
    CHECK(sent(f)(1) == 4.5);
    auto changing = [n = 0]() mutable { return ++n; };
    changing();
    CHECK(sent(changing)() == 2);
}

TEST_CASE("callable: structs with members of any kind") {
    CHECK(sent(greeting{"x", {40}})(2) == "x42");
}

TEST_CASE("callable: partial, unpack, retry, and these of each other") {
    int i = 3;
    auto plus = [i](int a, int b) { return i + a * 10 + b * 100; };
    CHECK(sent(partial(plus, 1))(2) == 213);
    CHECK(sent(partial(greeting{"x", {40}}, 2))() == "x42");
    CHECK(sent(partial(&doubled, 2))() == 4);
    CHECK(sent(partial([](const std::string& s, int n) { return s.size() + std::size_t(n); },
                       std::string("abc")))(1) == 4);
    CHECK(sent(unpack(plus))(std::tuple(1, 2)) == 213);
    CHECK(sent(retry(3, plus))(1, 2) == 213);
    CHECK(sent(retry(3, unpack(partial(plus, 1))))(std::tuple(2)) == 213);
    CHECK(sent(partial([](std::unique_ptr<int>) { return 1; }))(nullptr) == 1);
}

TEST_CASE("callable: what does not cross is known without an error") {
    std::string s;
    auto captures = [s] { return s; };
    static_assert(!crosses<decltype(captures)>);
    static_assert(!crosses<decltype(partial(captures, 1))>);
    static_assert(!crosses<decltype(partial([](int*) {}, std::declval<int*>()))>);
    static_assert(!crosses<decltype(unpack(captures))>);
    static_assert(!crosses<std::function<void()>>);
    static_assert(!crosses<decltype(std::bind_front(&doubled, 1))>);
    static_assert(!crosses<decltype(&object::by_this)>);
}

TEST_CASE("callable: a local captured by reference, or by its address, is found") {
    int local = 1;
    object here;
    int* const address = &local;
    auto by_reference = [&local] { return local; };
    auto by_default = [&] { return local + here.member; };
    auto by_address = [address] { return *address; };
    auto behind_others = [a = 1, b = 2.5, c = 'c', &local] { return local + a + b + c; };
    auto inner = [by_reference] { return by_reference(); };
    CHECK(refused(by_reference));
    CHECK(refused(by_default));
    CHECK(refused(by_address));
    CHECK(refused(behind_others));
    CHECK(refused(inner));
    CHECK(refused(here.by_this()));
    CHECK(refused(partial(by_reference)));
    CHECK(refused(partial([](auto f) { return f(); }, by_reference)));
    CHECK(refused(unpack(by_reference)));
    CHECK(refused(retry(2, retry(2, by_reference))));
    CHECK(refused(std::optional(by_reference)));
    std::thread other([&] {
        int own = 1;
        auto f = [&own] { return own; };
        CHECK(refused(f));
    });
    other.join();
}

TEST_CASE("callable: what is no address of a local passes") {
    static int lasting = 1;
    auto by_static_address = [p = &lasting] { return *p; };
    CHECK_FALSE(refused(by_static_address));
    const auto kept = std::make_unique<object>();
    CHECK_FALSE(refused(kept->by_this()));  // not found: the page says so
    CHECK_FALSE(refused(greeting{"x", {40}}));
    CHECK_FALSE(refused(&doubled));
    std::mt19937_64 random(1);
    int found = 0;
    for (int i = 0; i != 1'000'000; ++i) {
        auto f = [a = random(), b = static_cast<double>(random()), c = i] {
            return static_cast<double>(a) + b + c;
        };
        try {
            require_no_local_captured(f);
        } catch (const std::invalid_argument&) {
            ++found;
        }
    }
    CHECK(found == 0);
}

TEST_CASE("callable: an old address in the padding is not looked at") {
    char c = 'c';
    double d = 2.5;
    short s = 3;
    auto f = [c, d, s] { return c + d + s; };
    using closure = decltype(f);
    alignas(closure) unsigned char room[sizeof(closure)];
    void* const local = &d;
    for (std::size_t i = 0; i + sizeof local <= sizeof room; i += sizeof local) {
        std::memcpy(room + i, &local, sizeof local);
    }
    // Only the members are written: the padding stays an address but for a byte or two.
    auto* const image = reinterpret_cast<unsigned char*>(&f);
    room[0] = image[0];
    std::memcpy(room + 8, image + 8, sizeof d);
    std::memcpy(room + 16, image + 16, sizeof s);
    static_assert(sizeof(closure) == 24);
    // The low byte of the word is free for a char: one that keeps it an address of this stack.
    CHECK_FALSE(refused(*std::launder(reinterpret_cast<closure*>(room))));
}

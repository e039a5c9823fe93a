// SPDX-License-Identifier: BSL-1.0
// Named arrays: between programs that do not know each other, in a /dev/shm of any size.
#include "traces.hpp"

#include "../conformance/child.hpp"

#include <concur/shared_array.hpp>

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <numeric>
#include <string>
#include <system_error>

using namespace process;
using concur::shared_array;

namespace {

std::string error_of(auto&& f) {
    try {
        f();
    } catch (const std::exception& e) {
        return e.what();
    }
    return "";
}
int code_of(auto&& f) {
    try {
        f();
    } catch (const std::system_error& e) {
        return e.code().value();
    }
    return 0;
}
bool says(const std::string& text, const char* part) { return text.find(part) != text.npos; }

/// A name of this test's own, gone at its end.
struct name_of_test {
    std::string text = "concur-test-" + std::to_string(getpid());
    ~name_of_test() { shared_array<int>::remove(text); }
    operator std::string_view() const { return text; }
};

long sum(const shared_array<const int>& a) { return std::accumulate(a.begin(), a.end(), 0L); }

}  // namespace

TEST_CASE("another program" * doctest::skip()) {
    auto a = shared_array<int>::open(std::getenv("CONCUR_TEST_NAME"));
    CHECK(a.size() == 100);
    CHECK(a[99] == 5);
    a[0] = 7;
    a = {};
    const auto view = shared_array<const int>::open(std::getenv("CONCUR_TEST_NAME"));
    CHECK(view[0] == 7);
}

TEST_CASE("create, open in another program, remove") {
    nothing_left around;
    const name_of_test name;
    {
        auto a = shared_array<int>::create(name, 100);
        CHECK(a.size() == 100);
        CHECK(sum(a) == 0);
        a[99] = 5;
        const auto other =
            conformance::run_in_child("another program", {{"CONCUR_TEST_NAME", name.text.c_str()}});
        CHECK_MESSAGE(other.ended_well(), other.output);
        CHECK(a[0] == 7);
        auto again = shared_array<int>::open(name);
        again[1] = 8;
        CHECK(a[1] == 8);
    }
    // It lives without a handle.
    auto b = shared_array<int>::open(name);
    CHECK(b[99] == 5);
    CHECK(shared_array<int>::remove(name));
    CHECK(!shared_array<int>::remove(name));
    CHECK(b[99] == 5);
    CHECK(code_of([&] { shared_array<int>::open(name); }) == ENOENT);
}

TEST_CASE("a named array's handle crosses to workers, also after its name is gone") {
    nothing_left around;
    const name_of_test name;
    auto a = shared_array<int>::create(name, 10);
    a[3] = 3;
    concur::process_pool pool(1);
    CHECK(pool.submit(&sum, a).get() == 3);
    CHECK(pool.submit(
                  [](shared_array<int> in) {
                      in[4] = 4;
                      return in;
                  },
                  a)
              .get()
              .data() == a.data());
    shared_array<int>::remove(name);
    CHECK(pool.submit(&sum, a).get() == 7);
    CHECK(pool.submit(&sum, shared_array<const int>(a)).get() == 7);
}

TEST_CASE("names and arrays that do not fit") {
    nothing_left around;
    const name_of_test name;
    for (const char* const bad : {"", ".", "..", "a/b", "/x"}) {
        CHECK_THROWS_AS(shared_array<int>::create(bad, 1), std::invalid_argument);
        CHECK_THROWS_AS(shared_array<int>::open(bad), std::invalid_argument);
        CHECK_THROWS_AS(shared_array<int>::remove(bad), std::invalid_argument);
    }
    CHECK_THROWS_AS(shared_array<int>::create(std::string(256, 'x'), 1), std::invalid_argument);
    CHECK_THROWS_AS(shared_array<int>::create(name, -1), std::invalid_argument);
    CHECK_THROWS_AS(shared_array<int>::create(name, SIZE_MAX), std::length_error);
    const auto a = shared_array<int>::create(name, 4);
    CHECK(code_of([&] { shared_array<int>::create(name, 4); }) == EEXIST);
    CHECK(says(error_of([&] { shared_array<int>::create(name, 4); }), "exists already"));
    CHECK_THROWS_AS(shared_array<float>::open(name), concur::codec_error);
    CHECK_THROWS_AS(shared_array<unsigned>::open(name), concur::codec_error);
    CHECK_THROWS_AS(shared_array<long>::open(name), concur::codec_error);
    CHECK(says(error_of([&] { shared_array<long>::open(name); }), "another type"));
    shared_array<int>::remove(name);
    // Empty ones have a name, too.
    CHECK(shared_array<int>::create(name, 0).empty());
    CHECK(shared_array<int>::open(name).empty());
    shared_array<int>::remove(name);
    // What others have put there.
    const std::string path = "/dev/shm/" + name.text;
    for (const std::size_t bytes : {0u, 100u, 4096u, 8192u}) {
        std::ofstream(path) << std::string(bytes, 'x');
        CHECK_THROWS_AS(shared_array<int>::open(name), concur::codec_error);
        CHECK_THROWS_AS(shared_array<const int>::open(name), concur::codec_error);
    }
    shared_array<int>::remove(name);
    REQUIRE(mkfifo(path.c_str(), 0600) == 0);
    CHECK_THROWS_AS(shared_array<int>::open(name), concur::codec_error);
    shared_array<int>::remove(name);
}

TEST_CASE("a small /dev/shm" * doctest::skip()) {
    if (unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=8m") != 0) {
        MESSAGE("only root can make one: not tested");
        return;
    }
    const auto text = error_of([] { shared_array<char>::create("large", 100 << 20); });
    CHECK_MESSAGE(says(text, "/dev/shm"), text);
    CHECK_MESSAGE(says(text, "bytes are missing"), text);
    CHECK(code_of([] { shared_array<char>::create("large", 100 << 20); }) == ENOSPC);
    CHECK(entries_of("/dev/shm") == 0);
    auto a = shared_array<char>::create("fits", 6 << 20);
    std::memset(a.data(), 1, a.size());
    CHECK(code_of([] { shared_array<char>::create("no more", 6 << 20); }) == ENOSPC);
    // Without a name, it does not matter.
    shared_array<char> large(100 << 20);
    std::memset(large.data(), 1, large.size());
    concur::process_pool pool(1);
    CHECK(pool.submit([](const shared_array<char>& x) { return x[5]; }, large).get() == 1);
    shared_array<char>::remove("fits");
}

TEST_CASE("too small a /dev/shm is an exception that says so") {
    const auto result = conformance::run_in_child("a small /dev/shm");
    CHECK_MESSAGE(result.ended_well(), result.output);
}

// SPDX-License-Identifier: BSL-1.0
// Shared memory without a name: sparse, sealed, and a clear error where the limits are too tight.
#include "load.hpp"

#include <concur/detail/ipc/segment.hpp>

#include <doctest/doctest.h>

#include <sys/wait.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

using concur::detail::affordable_bytes;
using concur::detail::segment;
using concur::detail::unique_fd;

namespace {

/// Lowers a soft limit for as long as it lives.
class limited {
public:
    limited(decltype(RLIMIT_AS) what, rlim_t limit) : what_(what) {
        REQUIRE(getrlimit(what, &before_) == 0);
        rlimit now = before_;
        now.rlim_cur = limit;
        REQUIRE(setrlimit(what, &now) == 0);
    }
    ~limited() { setrlimit(what_, &before_); }
    limited(const limited&) = delete;
    limited& operator=(const limited&) = delete;

private:
    decltype(RLIMIT_AS) what_;
    rlimit before_{};
};

std::size_t committed(const segment& memory) {
    struct stat found{};
    REQUIRE(fstat(memory.fd(), &found) == 0);
    return static_cast<std::size_t>(found.st_blocks) * 512;
}

/// errno of what create() throws, and that it says how much was wanted.
int error_of_create(std::size_t bytes) {
    try {
        segment::create(bytes);
    } catch (const std::system_error& failure) {
        CHECK(std::string(failure.what()).find(std::to_string(bytes)) != std::string::npos);
        return failure.code().value();
    }
    return 0;
}

}  // namespace

TEST_CASE("segment: zeroed, whole pages, the same memory for all who attach") {
    const segment one = segment::create(10'000);
    CHECK(one.size() == 12'288);
    for (std::size_t i = 0; i != one.size(); ++i) REQUIRE(one.data()[i] == std::byte{0});
    const segment two = segment::attach(unique_fd(fcntl(one.fd(), F_DUPFD_CLOEXEC, 0)));
    CHECK(two.size() == one.size());
    CHECK(two.data() != one.data());
    std::strcpy(reinterpret_cast<char*>(one.data()) + 5000, "hello");
    CHECK(std::string(reinterpret_cast<char*>(two.data()) + 5000) == "hello");
}

TEST_CASE("segment: a child of fork() shares it") {
    const segment memory = segment::create(1);
    const pid_t child = fork();
    if (child == 0) {
        memory.data()[0] = std::byte{42};
        _exit(0);
    }
    waitpid(child, nullptr, 0);
    CHECK(memory.data()[0] == std::byte{42});
}

TEST_CASE("segment: nobody can truncate it, exec() drops it") {
    const segment memory = segment::create(8192);
    CHECK(ftruncate(memory.fd(), 0) != 0);
    CHECK(ftruncate(memory.fd(), 1 << 20) != 0);
    CHECK(fcntl(memory.fd(), F_ADD_SEALS, F_SEAL_WRITE) != 0);
    CHECK((fcntl(memory.fd(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("segment: sparse: only touched pages exist") {
    const std::size_t size = std::size_t{1} << 36;
    const segment memory = segment::create(size);
    CHECK(memory.size() == size);
    CHECK(committed(memory) == 0);
    memory.data()[size - 1] = std::byte{1};
    memory.data()[size / 2] = std::byte{1};
    CHECK(committed(memory) >= 2 * 4096);
    CHECK(committed(memory) < 8u << 20);  // also with huge pages
}

TEST_CASE("segment: stays out of core dumps") {
    const segment memory = segment::create(1 << 20);
    std::ifstream maps("/proc/self/smaps");
    if (!maps) return;
    bool found = false;
    bool here = false;
    for (std::string line; std::getline(maps, line);) {
        if (line.find("memfd:concur") != std::string::npos) here = true;
        if (here && line.rfind("VmFlags:", 0) == 0) {
            CHECK(line.find(" dd") != std::string::npos);
            found = true;
            here = false;
        }
    }
    CHECK(found);
}

TEST_CASE("segment: moved, it is one mapping still") {
    segment one = segment::create(1);
    one.data()[0] = std::byte{7};
    const segment two = std::move(one);
    CHECK(two.data()[0] == std::byte{7});
    segment three;
    CHECK(three.size() == 0);
    three = segment::create(1);
    CHECK(three.data() != two.data());
}

TEST_CASE("segment: more than can be is an error, not a crash") {
    CHECK(error_of_create(SIZE_MAX) == ENOMEM);
    CHECK(error_of_create(SIZE_MAX / 4 + 1) != 0);
    CHECK_THROWS_AS(segment::attach(unique_fd()), std::system_error);
}

TEST_CASE("segment: a limit on files is an error, not SIGXFSZ; affordable_bytes() obeys it") {
    const limited files(RLIMIT_FSIZE, 1 << 20);
    CHECK(error_of_create(2 << 20) == EFBIG);
    CHECK(affordable_bytes(std::size_t{1} << 23, 4096) == 1 << 20);
    CHECK(affordable_bytes(std::size_t{1} << 23, 1'000'000) == 1 << 20);
    CHECK(affordable_bytes(3000, 3000) == 3000);
    CHECK(affordable_bytes(3 << 20, 1'000'000) == 1'000'000);
    CHECK_THROWS_AS(affordable_bytes(std::size_t{1} << 23, 2 << 20), std::system_error);
    CHECK(segment::create(1 << 20).size() == 1 << 20);
}

TEST_CASE("segment: a limit on address space is an error; affordable_bytes() obeys it") {
    if (unit::sanitized) return;  // which need terabytes of it
    const limited space(RLIMIT_AS, rlim_t{2} << 30);
    CHECK(error_of_create(std::size_t{1} << 32) == ENOMEM);
    const auto bytes = affordable_bytes(std::size_t{1} << 36, 1 << 20);
    CHECK(bytes >= 1u << 29);
    CHECK(bytes <= 1u << 30);
    CHECK(segment::create(bytes).size() == bytes);
}

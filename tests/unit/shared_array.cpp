// SPDX-License-Identifier: BSL-1.0
// shared_array and shared_object in one process: row 87, and what the interface promises.
#include <concur/shared_array.hpp>

#include <doctest/doctest.h>

#include <boost/interprocess/sync/interprocess_condition.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/interprocess_semaphore.hpp>

#include <sys/resource.h>
#include <sys/wait.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <list>
#include <numeric>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

using concur::shared_array;
using concur::shared_object;

namespace {

std::size_t open_files() {
    std::size_t n = 0;
    for (int fd = 0; fd != 1000; ++fd) n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

template <class F>
std::string error_of(F f) {
    try {
        f();
    } catch (const std::exception& e) {
        return e.what();
    }
    return "";
}

bool says(const std::string& text, const char* part) { return text.find(part) != text.npos; }

std::size_t resident_kib(const void* at) {
    std::vector<unsigned char> pages(1);
    REQUIRE(mincore(const_cast<void*>(at), 1, pages.data()) == 0);
    return pages[0] & 1;
}

}  // namespace

TEST_CASE("shared_array: zeroed, filled, from a range") {
    shared_array<int> zeroed(1000);
    CHECK(zeroed.size() == 1000);
    CHECK(std::accumulate(zeroed.begin(), zeroed.end(), 0) == 0);
    shared_array<double> filled(10, 2.5);
    CHECK(filled[9] == 2.5);
    const std::list<int> list{3, 1, 2};
    shared_array<int> copied(list);
    CHECK(std::vector<int>(copied.begin(), copied.end()) == std::vector<int>{3, 1, 2});
    shared_array deduced(std::vector<float>{1, 2});
    CHECK(deduced[1] == 2);
    CHECK(deduced.span().size() == 2);
    shared_array<bool> flags(5, true);
    CHECK(flags[4]);
}

TEST_CASE("shared_array: a copy is a handle, a constant handle too") {
    const shared_array<long> a(4);
    const auto b = a;
    a[2] = 7;
    CHECK(b[2] == 7);
    CHECK(a.data() == b.data());
    shared_array<const long> view = b;
    static_assert(std::is_same_v<decltype(view[0]), const long&>);
    CHECK(view[2] == 7);
    shared_array<long> c = a;
    auto d = std::move(c);
    CHECK(d.data() == a.data());
    CHECK(c.empty());
    c = d;
    d = shared_array<long>();
    CHECK(d.data() == nullptr);
    CHECK(c[2] == 7);
}

TEST_CASE("shared_array: empty ones") {
    shared_array<int> none, zero(0);
    CHECK(none.empty());
    CHECK(zero.begin() == zero.end());
    CHECK(shared_array<int>(std::vector<int>{}).size() == 0);
    const auto bytes = concur::encode(zero);
    CHECK(concur::decode<shared_array<int>>(bytes).empty());
}

TEST_CASE("shared_array: sizes that cannot be") {
    CHECK_THROWS_AS(shared_array<int>(-1), std::invalid_argument);
    CHECK(says(error_of([] { shared_array<int> a(-1); }), "-1 elements"));
    CHECK_THROWS_AS(shared_array<double>(SIZE_MAX / 4), std::length_error);
    CHECK_THROWS_AS(shared_array<double>(PTRDIFF_MAX), std::length_error);
    CHECK_THROWS_AS(shared_array<char>(PTRDIFF_MAX), std::system_error);
    const auto more = concur::detail::find_room().bytes + (1u << 30);
    const auto text = error_of([&] { shared_array<char> a(more); });
    CHECK_MESSAGE(says(text, std::to_string(more).c_str()), text);
    CHECK_MESSAGE(says(text, "bytes are missing"), text);
    CHECK_MESSAGE(says(text, "this machine has"), text);
}

TEST_CASE("shared_array: limits of the process") {
    // In a child: limits may not be raised again.
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        const rlimit limit{1 << 20, 1 << 20};
        setrlimit(RLIMIT_FSIZE, &limit);
        const auto large = error_of([] { shared_array<char> a(2 << 20); });
        const auto small = error_of([] { shared_array<char> a(1000); });
        _exit(says(large, "RLIMIT_FSIZE") && small.empty() ? 0 : 1);
    }
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

TEST_CASE("shared_array: a gigabyte costs nothing until it is touched") {
    const auto began = std::chrono::steady_clock::now();
    shared_array<char> a(1u << 30);
    const auto took = std::chrono::steady_clock::now() - began;
    CHECK(resident_kib(a.data() + (1u << 29)) == 0);
    a[1u << 29] = 1;
    CHECK(resident_kib(a.data() + (1u << 29)) == 1);
    MESSAGE("1 GiB made in " << std::chrono::duration<double, std::micro>(took).count() << " us");
}

TEST_CASE("shared_array: memory is used again, and zeroed again") {
    concur::detail::shared_registry::get().trim();
    const auto files = open_files();
    const std::size_t n = 1 << 20;
    void* place = nullptr;
    {
        shared_array<unsigned char> a(n, 0xff);
        place = a.data();
    }
    CHECK(open_files() == files + 1);  // kept
    {
        shared_array<unsigned char> b(n);
        CHECK(b.data() == place);
        CHECK(std::accumulate(b.begin(), b.end(), 0) == 0);
        b[5] = 1;
    }
    shared_array<unsigned char> touched_little(n);
    touched_little[n - 1] = 3;
    const auto bytes = concur::encode(touched_little);
    touched_little = {};
    shared_array<unsigned char> c(n);
    CHECK(c.data() == place);
    CHECK(c[n - 1] == 0);
    // A handle to the one before is a handle to nothing, although the memory is there.
    const auto text = error_of([&] { concur::decode<shared_array<unsigned char>>(bytes); });
    CHECK_MESSAGE(says(text, "no longer exists"), text);
    c = {};
    concur::detail::shared_registry::get().trim();
    CHECK(open_files() == files);
}

TEST_CASE("shared_array: the codec gives a handle to the same memory") {
    shared_array<int> a(std::vector<int>{1, 2, 3});
    auto bytes = concur::encode(a);
    CHECK(bytes.size() == 32);
    const auto b = concur::decode<shared_array<int>>(bytes);
    CHECK(b.data() == a.data());
    CHECK_THROWS_AS(concur::decode<shared_array<float>>(bytes), concur::codec_error);
    CHECK_THROWS_AS(concur::decode<shared_array<const int>>(bytes), concur::codec_error);
    std::uint64_t many = 1 << 20;
    std::memcpy(bytes.data() + 8, &many, sizeof many);
    CHECK_THROWS_AS(concur::decode<shared_array<int>>(bytes), concur::codec_error);
    many = 99;
    std::memcpy(bytes.data(), &many, sizeof many);
    CHECK_THROWS_AS(concur::decode<shared_array<int>>(bytes), concur::codec_error);
    // Descriptors that are something else: nothing is opened that would block, nothing is mapped.
    for (int fd = -2; fd != 20; ++fd) {
        std::memcpy(bytes.data() + 20, &fd, sizeof fd);
        CHECK_THROWS_AS(concur::decode<shared_array<int>>(bytes), concur::codec_error);
    }
}

TEST_CASE("shared_array: handles in many threads") {
    shared_array<std::uint64_t> a(8);
    std::vector<std::thread> threads;
    for (int t = 0; t != 4; ++t) {
        threads.emplace_back([bytes = concur::encode(a), a, t] {
            for (std::uint64_t i = 0; i != 1000; ++i) {
                auto mine = concur::decode<shared_array<std::uint64_t>>(bytes);
                std::atomic_ref(mine[0]).fetch_add(1);
                auto other = mine;
                shared_array<std::uint64_t> fresh(16, i);
                if (fresh[15] != i) std::abort();
                a[static_cast<std::size_t>(t) + 1] = i;
            }
        });
    }
    for (auto& t : threads) t.join();
    CHECK(a[0] == 4000);
}

TEST_CASE("shared_array: a child of fork() has them too, and its end changes nothing") {
    shared_array<int> a(10, 4);
    {
        shared_array<int> spare(10, 5);  // the child must not make its arrays of this memory
    }
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        a[0] = 5;
        shared_array<int> own(10, 6);
        const auto again = concur::decode<shared_array<int>>(concur::encode(a));
        const bool right = again[0] == 5 && own[9] == 6;
        a = {};
        _exit(right ? 0 : 1);
    }
    shared_array<int> reused(10, 7);
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(a[0] == 5);
    CHECK(a[9] == 4);
    CHECK(reused[9] == 7);
}

TEST_CASE("shared_object: built in place, and seen through every handle") {
    shared_object<std::atomic<long>> hits(5);
    auto other = hits;
    *hits += 2;
    CHECK(*other == 7);
    CHECK(hits->load() == 7);
    const auto decoded = concur::decode<shared_object<std::atomic<long>>>(concur::encode(hits));
    CHECK(decoded == hits);

    struct board {
        std::atomic<int> count;
        std::array<double, 3> sums;
    };
    shared_object<board> b(1, std::array<double, 3>{1, 2, 3});
    CHECK(b->sums[2] == 3);
    CHECK(b->count == 1);
    CHECK(shared_object<board>()->count == 0);
}

TEST_CASE("shared_object: Boost.Interprocess's primitives") {
    struct door {
        boost::interprocess::interprocess_mutex mutex;
        boost::interprocess::interprocess_condition opened;
        bool open = false;
    };
    static_assert(concur::detail::shareable_object<door>());
    shared_object<door> d;
    std::thread opener([d] {
        const std::lock_guard lock(d->mutex);
        d->open = true;
        d->opened.notify_all();
    });
    std::unique_lock lock(d->mutex);
    d->opened.wait(lock, [&] { return d->open; });
    lock.unlock();
    opener.join();
    shared_object<boost::interprocess::interprocess_semaphore> s(1u);
    CHECK(s->try_wait());
    CHECK(!s->try_wait());
}

TEST_CASE("what memory cgroups leave: the least on the way up, file pages count as free") {
    namespace fs = std::filesystem;
    const fs::path root = fs::temp_directory_path() / ("concur-cgroup-" + std::to_string(getpid()));
    const auto write = [&](const char* file, const char* text) {
        fs::create_directories((root / file).parent_path());
        std::ofstream(root / file) << text;
    };
    using concur::detail::room_in_cgroups;
    write("a/b/memory.max", "max\n");
    CHECK(room_in_cgroups("0::/a/b\n", root) == concur::detail::no_limit);
    write("a/memory.max", "1000000\n");
    write("a/memory.current", "400000\n");
    write("a/memory.stat", "anon 5\ninactive_file 90000\nactive_file 10000\n");
    CHECK(room_in_cgroups("0::/a/b\n", root) == 700000);
    CHECK(room_in_cgroups("12:cpu:/x\n0::/a/b\n", root) == 700000);
    write("a/b/memory.max", "5000");
    write("a/b/memory.current", "6000");
    CHECK(room_in_cgroups("0::/a/b\n", root) == 0);
    write("memory/old/memory.limit_in_bytes", "4096\n");
    write("memory/old/memory.usage_in_bytes", "96\n");
    CHECK(room_in_cgroups("3:memory:/old\n", root) == 4000);
    fs::remove_all(root);
}

TEST_CASE("layouts tell element types apart") {
    struct two {
        int a;
        float b;
    };
    struct same {
        int x;
        float y;
    };
    struct other {
        float a;
        int b;
    };
    enum class small : unsigned char { none };
    using concur::detail::shared_layout;
    static_assert(shared_layout<two> == shared_layout<same>);
    static_assert(shared_layout<two> != shared_layout<other>);
    static_assert(shared_layout<small> == shared_layout<unsigned char>);
    static_assert(shared_layout<int> != shared_layout<unsigned>);
    static_assert(shared_layout<int> != shared_layout<float>);
    static_assert(shared_layout<int[2]> != shared_layout<int[3]>);
    static_assert(shared_layout<const int> == shared_layout<int>);
    CHECK(true);
}

// SPDX-License-Identifier: BSL-1.0
// Programs and machines that are not as they should be: limits that are too small, an executable
// that was removed or replaced while it runs, code that the workers do not have. (A pool writes no
// file and no name in /dev/shm, so a full disk is nothing to it. A full cgroup: memory_cgroup.cpp.)
#include "traces.hpp"

#include "../conformance/across.hpp"
#include "../conformance/child.hpp"
#include "../sanitizers.hpp"

#include <doctest/doctest.h>

#include <dlfcn.h>
#include <link.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>

using namespace process;
using conformance::eventually;
using conformance::run_in_child;
using namespace std::chrono_literals;

namespace {

class limited {
public:
    limited(decltype(RLIMIT_AS) what, rlim_t limit) : what_(what) {
        getrlimit(what_, &before_);
        const rlimit low{limit, before_.rlim_max};
        setrlimit(what_, &low);
    }
    ~limited() { setrlimit(what_, &before_); }
    limited(const limited&) = delete;
    limited& operator=(const limited&) = delete;

private:
    decltype(RLIMIT_AS) what_;
    rlimit before_{};
};

std::string refusal(concur::process_pool_options options = {}) {
    return conformance::text_thrown<std::exception>(
        [&] { concur::process_pool pool(std::move(options)); });
}

void use_a_pool(concur::start_method method) {
    concur::process_pool pool({.workers = 2, .start = method});
    int sum = 0;
    for (const int value : pool.map([](int i) { return 2 * i; }, conformance::numbers(10)))
        sum += value;
    CHECK(sum == 90);
}

std::size_t allocate(std::size_t bytes) {
    std::vector<char> memory(bytes, 'x');
    return memory.size();
}

/// A copy of a file.
std::string copy_of(const std::string& file, const conformance::scratch_file& place) {
    std::string copy = place.path().data();
    std::filesystem::copy_file(file, copy, std::filesystem::copy_options::overwrite_existing);
    return copy;
}

/// Makes a library that is already a copy another build of itself: changes its build-id.
void change_build_id(const std::string& path) {
    auto content = file_content(path);
    const char name[] = {4, 0, 0, 0, 20, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0};
    const auto at = content.find(std::string(name, sizeof name));
    REQUIRE(at != content.npos);
    auto& byte = content[at + sizeof name + 7];
    byte = static_cast<char>(~byte);
    std::ofstream(path, std::ios::binary) << content;
}

}  // namespace

TEST_CASE("hidden: limits that are too small" * doctest::skip()) {
    use_a_pool(concur::start_method::forkserver);
    if (!tests::under_asan) {  // UndefinedBehaviorSanitizer looks at memory through a pipe
        const limited files(RLIMIT_NOFILE, 4);
        const auto text = refusal();
        CAPTURE(text);
        CHECK(text.find("RLIMIT_NOFILE") != text.npos);
    }
    {
        const limited size(RLIMIT_FSIZE, 1 << 16);
        const auto text = refusal();
        CAPTURE(text);
        CHECK(text.find("RLIMIT_FSIZE") != text.npos);
    }
    if (!tests::under_asan) {  // it would ask for more itself
        const limited space(RLIMIT_AS, 64 << 20);
        const auto text = refusal({.workers = 64});
        CAPTURE(text);
        CHECK(text.find("RLIMIT_AS") != text.npos);
    }
    for (const auto method : start_methods) use_a_pool(method);  // nothing is broken for good
}

TEST_CASE("bad input: limits that are too small are named, and no harm is done") {
    const auto child = run_in_child("hidden: limits that are too small");
    INFO(child.output);
    CHECK(child.ended_well());
}

TEST_CASE("bad input: a worker that gets no memory fails its task, not the pool") {
    if (tests::under_asan) return;  // it needs more address space itself
    const nothing_left guard;
    concur::process_pool pool({.workers = 2, .initializer = [] {
                                   const rlimit little{rlim_t{1} << 40, rlim_t{1} << 40};
                                   setrlimit(RLIMIT_AS, &little);
                               }});
    const int pid = pool.submit([] { return getpid(); }).get();
    for (int i = 0; i != 5; ++i) {
        CHECK_THROWS_AS(pool.submit(&allocate, std::size_t{1} << 41).get(), std::bad_alloc);
        CHECK(pool.submit(&allocate, std::size_t{1} << 20).get() == 1 << 20);
    }
    CHECK(pool.stats().workers_lost == 0);
    CHECK(kill(pid, 0) == 0);
}

TEST_CASE("hidden: its executable goes" * doctest::skip()) {
    const std::string own = std::filesystem::read_symlink("/proc/self/exe");
    REQUIRE(own.starts_with("/tmp/"));
    use_a_pool(concur::start_method::forkserver);
    const bool replaced = std::getenv("REPLACED") != nullptr;
    if (replaced) {
        std::ofstream(own + ".new") << "#!/bin/sh\nexit 1\n";
        std::filesystem::permissions(own + ".new", std::filesystem::perms::owner_all);
        std::filesystem::rename(own + ".new", own);
    } else {
        std::filesystem::remove(own);
    }
    use_a_pool(concur::start_method::forkserver);
    use_a_pool(concur::start_method::spawn);
    kill(concur::detail::fork_server::get().pid(), SIGKILL);  // the next is a program start
    use_a_pool(concur::start_method::forkserver);
    use_a_pool(concur::start_method::fork);
    std::filesystem::remove(own);
}

TEST_CASE("bad input: an executable that is removed or built anew while it runs") {
    for (const bool replaced : {false, true}) {
        CAPTURE(replaced);
        const conformance::scratch_file place;
        const auto copy = copy_of("/proc/self/exe", place);
        const pid_t child = fork();
        if (child == 0) {
            chmod(copy.c_str(), 0700);
            replaced ? setenv("REPLACED", "1", 1) : unsetenv("REPLACED");
            execl(copy.c_str(), "child", "--no-skip", "--test-case=hidden: its executable goes",
                  static_cast<char*>(nullptr));
            _exit(127);
        }
        int status = 0;
        waitpid(child, &status, 0);
        CHECK(status == 0);
    }
}

TEST_CASE("bad input: functions of a library that the workers have not, or in another build") {
    const nothing_left guard;
    const auto library = [] {
        Dl_info info{};
        void* const handle = dlopen("libm.so.6", RTLD_NOW);
        dladdr(dlsym(handle, "cbrt"), &info);
        return std::string(info.dli_fname);
    }();
    for (const auto method : {concur::start_method::forkserver, concur::start_method::spawn}) {
        CAPTURE(name_of(method));
        const conformance::scratch_file place;
        const auto copy = copy_of(library, place);
        change_build_id(copy);
        void* const handle = dlopen(copy.c_str(), RTLD_NOW | RTLD_LOCAL);
        REQUIRE(handle != nullptr);
        auto* const function = reinterpret_cast<double (*)(double)>(dlsym(handle, "cbrt"));
        CHECK(function(8.0) == 2.0);
        concur::process_pool pool({.workers = 1, .start = method});
        const auto text = conformance::text_thrown<concur::codec_error>(
            [&] { static_cast<void>(pool.submit(function, 8.0).get()); });
        CAPTURE(text);
        CHECK(text.find("another build") != text.npos);
        CHECK(pool.submit([] { return 1; }).get() == 1);
        CHECK(pool.stats().workers_lost == 0);
        dlclose(handle);
    }
}

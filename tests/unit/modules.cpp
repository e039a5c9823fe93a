// SPDX-License-Identifier: BSL-1.0
// Where code stands: there and back, in the executable and in libraries.
#include <concur/detail/ipc/modules.hpp>

#include <doctest/doctest.h>

#include <dlfcn.h>
#include <sys/wait.h>

#include <cstdlib>
#include <thread>
#include <vector>

using namespace concur::detail;

namespace {

int some_function(int x) { return x + 1; }

const void* address_of(int (*f)(int)) { return reinterpret_cast<const void*>(f); }

}  // namespace

TEST_CASE("modules: code is found again, and the executable comes first") {
    const auto code = locate_code(address_of(&some_function));
    CHECK(find_code(code) == address_of(&some_function));
    CHECK(in_main_executable(address_of(&some_function)));
    const auto all = loaded_modules();
    REQUIRE_FALSE(all.empty());
    CHECK(all[0].key == code.module);
    CHECK(all[0].base + code.offset == reinterpret_cast<std::uintptr_t>(&some_function));
    for (const auto& one : all) {
        CHECK(one.begin < one.end);
        for (const auto& other : all) CHECK((&one == &other || one.key != other.key));
    }
}

TEST_CASE("modules: what is in no module is refused, what is not loaded is not found") {
    int local = 0;
    CHECK_THROWS_AS(locate_code(&local), concur::codec_error);
    CHECK_THROWS_AS(locate_code(nullptr), concur::codec_error);
    CHECK(find_code({12345, 0}) == nullptr);
    auto code = locate_code(address_of(&some_function));
    code.offset = UINT64_MAX / 2;
    CHECK(find_code(code) == nullptr);
    CHECK_FALSE(in_main_executable(&local));
    CHECK(module_path(12345).empty());
}

TEST_CASE("modules: a library that is loaded and unloaded later is seen") {
    // One that nobody needs.
    void* library = dlopen("libanl.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    const void* symbol = nullptr;
    for (const auto& one : loaded_modules())
        if (module_path(one.key).find("libanl") != std::string::npos)
            symbol = reinterpret_cast<const void*>(one.begin);
    REQUIRE(symbol != nullptr);
    const auto code = locate_code(symbol);
    CHECK(find_code(code) == symbol);
    CHECK_FALSE(in_main_executable(symbol));
    CHECK(module_path(code.module)[0] == '/');
    dlclose(library);
    CHECK(find_code(code) == nullptr);
    library = dlopen("libanl.so.1", RTLD_NOW | RTLD_LOCAL);
    REQUIRE(library != nullptr);
    CHECK(find_code(code) != nullptr);
    dlclose(library);
}

TEST_CASE("modules: from many threads, while libraries come and go") {
    const void* const address = dlsym(RTLD_DEFAULT, "getpid");
    const auto code = locate_code(address);
    std::vector<std::thread> threads;
    for (int i = 0; i != 4; ++i) {
        threads.emplace_back([&, i] {
            for (int round = 0; round != 300; ++round) {
                if (find_code(code) != address) std::abort();
                if (i != 0 || round % 10 != 0) continue;
                void* const library = dlopen("libanl.so.1", RTLD_NOW | RTLD_LOCAL);
                if (library) dlclose(library);
            }
        });
    }
    for (auto& thread : threads) thread.join();
}

TEST_CASE("modules: a fork that catches the lock costs time, and never hangs") {
    const void* const address = dlsym(RTLD_DEFAULT, "getpid");  // the executable needs no table
    const auto code = locate_code(address);
    REQUIRE(known_modules.enter());
    const pid_t child = fork();
    if (child == 0) {
        const bool slow = find_code(code) == address;
        forget_modules();
        _exit(slow && find_code(code) == address && known_modules.table ? 0 : 1);
    }
    known_modules.leave();
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(status == 0);
}

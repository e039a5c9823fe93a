// SPDX-License-Identifier: BSL-1.0
// Workers see the globals of every translation unit constructed, whatever the order of linking, and
// nothing of main; a pool with static storage works in the program and is inert in its copies.
#include "../process/pit.hpp"

#include <cstdio>
#include <cstdlib>

using namespace process;

int length_of_name(int number);

namespace {

bool main_has_run = false;
int pools_left_out = 0;

int work(std::byte*, std::size_t, std::uint32_t, std::uint32_t) {
    return length_of_name(3) + (main_has_run ? 100 : 0) + 10 * pools_left_out;
}

struct pool_at_start {
    pool_at_start() {
        if (concur::detail::starting_as_worker()) {
            ++pools_left_out;
            return;
        }
        if (concur::detail::entry_missed() || std::getenv("CONCUR_WORKER_ENTRY")) std::abort();
        p.emplace(start_method::forkserver, work);
        p->open();
        p->start(0);
    }
    std::optional<pit> p;
} first_pool;

int failures = 0;

void check(bool good, const char* what, int value) {
    if (!good) std::printf("wrong: %s is %d\n", what, value), ++failures;
}

}  // namespace

int main() {
    main_has_run = true;
    const int early = WEXITSTATUS(first_pool.p->status(0));
    check(early == 15, "the pool with static storage", early);
    for (const auto method : {start_method::forkserver, start_method::fork, start_method::spawn}) {
        pit p(method, work);
        p.open();
        p.start(0);
        p.start(1);
        for (std::uint32_t i = 0; i != 2; ++i) {
            const int status = p.status(i);
            const int expected = method == start_method::fork ? 105 : 15;
            check(WIFEXITED(status) && WEXITSTATUS(status) == expected, "a worker", status);
        }
    }
    check(!concur::detail::starting_as_worker(), "starting_as_worker()", 1);
    return failures;
}

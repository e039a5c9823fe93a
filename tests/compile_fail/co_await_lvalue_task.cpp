// SPDX-License-Identifier: BSL-1.0
// A task is awaited once.
// expect: co_await of a task that has a name
#include <concur/event_loop.hpp>

concur::task<int> one() { co_return 1; }
concur::task<void> work() {
    auto t = one();
    co_await t;
}

int main() { concur::run(work); }

// SPDX-License-Identifier: BSL-1.0
// A sender, an awaiter of another library, a number: nothing that the loop could wake.
// expect: co_await in a task<T>: this is neither a task, nor a concur::future
#include <concur/event_loop.hpp>

concur::task<void> work() { co_await 5; }

int main() { concur::run(work); }

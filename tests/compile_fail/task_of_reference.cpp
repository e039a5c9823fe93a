// SPDX-License-Identifier: BSL-1.0
// A task gives a value.
// expect: task<T&>: a task gives a value
#include <concur/event_loop.hpp>

concur::task<int&> work();

int main() { auto t = work(); }

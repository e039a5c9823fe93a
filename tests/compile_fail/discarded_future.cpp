// SPDX-License-Identifier: BSL-1.0
// A function that returns a future wants it to be looked at.
// expect: nodiscard
#include <concur/future.hpp>

#pragma GCC diagnostic error "-Wunused-result"

concur::future<int> start() { return {}; }

int main() { start(); }

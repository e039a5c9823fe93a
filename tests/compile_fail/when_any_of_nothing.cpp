// SPDX-License-Identifier: BSL-1.0
// when_any needs a range of futures.
// expect: when_any
#include <concur/when.hpp>

int main() { auto first = concur::when_any(); }

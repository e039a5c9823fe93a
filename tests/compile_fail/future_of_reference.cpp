// SPDX-License-Identifier: BSL-1.0
// A future holds a value.
// expect: future<T&>
#include <concur/future.hpp>

int main() { concur::future<int&> f; }

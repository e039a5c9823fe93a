// SPDX-License-Identifier: BSL-1.0
// A number is no range.
// expect: map(f, ranges...)
#include <concur/thread_pool.hpp>

int main() {
    concur::thread_pool pool(1);
    auto result = pool.map([](int x) { return x; }, 100);
}

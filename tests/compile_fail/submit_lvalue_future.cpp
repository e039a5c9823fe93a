// SPDX-License-Identifier: BSL-1.0
// A future is taken, not copied.
// expect: std::move it, or share() it
#include <concur/thread_pool.hpp>

int main() {
    concur::thread_pool pool(1);
    auto a = pool.submit([] { return 1; });
    auto b = pool.submit([](int x) { return x; }, a);
}

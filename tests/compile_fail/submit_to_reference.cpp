// SPDX-License-Identifier: BSL-1.0
// The task has a copy of x; a function that changes its argument would change the copy.
// expect: submit(f, args...): f cannot be called with copies of these arguments
// expect: pass std::ref(x) to share x
#include <concur/thread_pool.hpp>

int main() {
    concur::thread_pool pool(1);
    int x = 1;
    auto f = pool.submit([](int& shared) { ++shared; }, x);
}

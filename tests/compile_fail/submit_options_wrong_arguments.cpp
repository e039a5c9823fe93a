// SPDX-License-Identifier: BSL-1.0
// With options in front, the message stays the same.
// expect: submit(f, args...): f cannot be called with copies of these arguments
// expect: pass std::ref(x) to share x
#include <concur/thread_pool.hpp>

int main() {
    concur::thread_pool pool(1);
    auto f = pool.submit({.name = "named"}, [](int* p) { return *p; }, 1.5);
}

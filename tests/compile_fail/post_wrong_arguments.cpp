// SPDX-License-Identifier: BSL-1.0
// post is as strict as submit.
// expect: f cannot be called with copies of these arguments
// expect: pass std::ref(x) to share x
#include <concur/thread_pool.hpp>

int main() {
    concur::thread_pool pool(1);
    pool.post([](int) {}, "text");
}

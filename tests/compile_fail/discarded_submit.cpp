// SPDX-License-Identifier: BSL-1.0
// Who drops the future of a submit meant post.
// expect: nodiscard
#include <concur/thread_pool.hpp>

#pragma GCC diagnostic error "-Wunused-result"

int main() {
    concur::thread_pool pool(1);
    pool.submit([] {});
}

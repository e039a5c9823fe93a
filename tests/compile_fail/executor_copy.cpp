// SPDX-License-Identifier: BSL-1.0
// Executors are neither copyable nor movable.
// expect: deleted
#include <concur/thread_pool.hpp>

#include <utility>

int main() {
    concur::thread_pool pool(1);
    auto moved = std::move(pool);
}

// SPDX-License-Identifier: BSL-1.0
// A string is elsewhere, in the memory of one process.
// expect: the items of a shared_queue are seen by several processes
#include <concur/shared_queue.hpp>

#include <string>

int main() {
    concur::shared_queue<std::string> const queue(10);
    return static_cast<int>(queue.capacity());
}

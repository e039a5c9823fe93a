// SPDX-License-Identifier: BSL-1.0
// One stored f is called by several workers at once, so it is called as const.
// expect: f cannot be called with the elements of these ranges
#include <concur/thread_pool.hpp>

#include <vector>

int main() {
    concur::thread_pool pool(1);
    const std::vector<int> numbers;
    auto result = pool.map([sum = 0](int x) mutable { return sum += x; }, numbers);
}

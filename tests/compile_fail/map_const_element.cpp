// SPDX-License-Identifier: BSL-1.0
// The elements of a const range cannot be changed.
// expect: f cannot be called with the elements of these ranges
#include <concur/thread_pool.hpp>

#include <vector>

int main() {
    concur::thread_pool pool(1);
    const std::vector<int> numbers;
    pool.for_each([](int& x) { ++x; }, numbers);
}

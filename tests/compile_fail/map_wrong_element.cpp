// SPDX-License-Identifier: BSL-1.0
// f cannot take the elements of the range.
// expect: map(f, ranges...): f cannot be called with the elements of these ranges
#include <concur/thread_pool.hpp>

#include <string>
#include <vector>

int main() {
    concur::thread_pool pool(1);
    const std::vector<std::string> words;
    auto result = pool.map([](int x) { return x; }, words);
}

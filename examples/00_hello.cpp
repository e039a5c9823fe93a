// SPDX-License-Identifier: BSL-1.0
// New here: the whole idea. Read 01_first_steps.cpp next.

#include <concur/thread_pool.hpp>
#include <cstdio>
#include <vector>

int square(int x) { return x * x; }

int main() {
    concur::thread_pool pool;                          // one worker for each usable CPU
    concur::future<int> one = pool.submit(square, 7);  // starts on a worker at once
    std::vector<int> const numbers{1, 2, 3, 4};
    for (int y : pool.map(square, numbers)) {  // in parallel, results in order
        std::printf("%d ", y);
    }
    std::printf("and %d\n", one.get());  // waits; would throw what it threw
}

// Output:
// 1 4 9 16 and 49

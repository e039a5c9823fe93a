// SPDX-License-Identifier: BSL-1.0
// The elements must be futures, or a projection must lead to them.
// expect: projection
#include <concur/as_completed.hpp>

#include <vector>

int main() {
    std::vector<int> numbers;
    for (auto& x : concur::as_completed(numbers)) x = 1;
}

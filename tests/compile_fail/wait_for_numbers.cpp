// SPDX-License-Identifier: BSL-1.0
// The elements must be futures, or a projection must lead to them.
// expect: projection
#include <concur/wait.hpp>

#include <vector>

int main() {
    std::vector<int> numbers;
    static_cast<void>(concur::wait(numbers, concur::return_when::all_completed));
}

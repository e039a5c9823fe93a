// SPDX-License-Identifier: BSL-1.0
// f gets one element of each range.
// expect: map(f, ranges...): f cannot be called with the elements of these ranges
#include <concur/serial_executor.hpp>

#include <vector>

int main() {
    concur::serial_executor ex;
    const std::vector<int> numbers;
    auto result = ex.map([](int x) { return x; }, numbers, numbers);
}

// SPDX-License-Identifier: BSL-1.0
// Nor is a const one copied.
// expect: std::move it, or share() it
#include <concur/serial_executor.hpp>

int main() {
    concur::serial_executor ex;
    const auto a = ex.submit([] { return 1; });
    auto b = ex.submit([](int x) { return x; }, a);
}

// SPDX-License-Identifier: BSL-1.0
// f wants more than it is given.
// expect: submit(f, args...): f cannot be called with copies of these arguments
// expect: pass std::ref(x) to share x
#include <concur/serial_executor.hpp>

int main() {
    concur::serial_executor ex;
    auto f = ex.submit([](int a, int b) { return a + b; }, 1);
}

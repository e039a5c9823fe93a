// SPDX-License-Identifier: BSL-1.0
// What is shared cannot be taken.
// expect: const
#include <concur/future.hpp>

int main() {
    concur::shared_future<int> f;
    int& value = f.get();
    value = 1;
}

// SPDX-License-Identifier: BSL-1.0
// A future is not copied; share() it.
// expect: deleted
#include <concur/future.hpp>

int main() {
    concur::future<int> f;
    auto g = f;
}

// SPDX-License-Identifier: BSL-1.0
// when_all takes its futures over.
// expect: std::move it, or share() it
#include <concur/when.hpp>

int main() {
    concur::future<int> a;
    concur::future<int> b;
    auto all = concur::when_all(a, b);
}

// SPDX-License-Identifier: BSL-1.0
// An address means nothing in another process.
// expect: send the value it points to
#include <concur/codec.hpp>

int main() {
    int x = 1;
    return static_cast<int>(concur::encode(&x).size());
}

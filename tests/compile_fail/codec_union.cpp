// SPDX-License-Identifier: BSL-1.0
// Nobody knows which member of a union is alive.
// expect: a union does not say which of its members is alive
#include <concur/codec.hpp>

union number {
    int i;
    float f;
};
struct entry {
    int kind;
    number value;
};

int main() { return static_cast<int>(concur::encode(entry{0, {1}}).size()); }

// SPDX-License-Identifier: BSL-1.0
// An outcome holds a value.
// expect: outcome<T>: T cannot be a reference
#include <concur/outcome.hpp>

int main() {
    int x = 1;
    concur::outcome<int&> o = x;
}

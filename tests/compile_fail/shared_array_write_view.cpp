// SPDX-License-Identifier: BSL-1.0
// A read-only view is read-only.
// expect g++: assignment of read-only location
// expect clang++: cannot assign to return value because function 'operator[]' returns a const value
#include <concur/shared_array.hpp>

int main() {
    concur::shared_array<int> a(3);
    concur::shared_array<const int> view = a;
    view[0] = 1;
}

// SPDX-License-Identifier: BSL-1.0
// Who may only read does not get to write.
// expect: shared_array
#include <concur/shared_array.hpp>

int main() {
    concur::shared_array<const int> view = concur::shared_array<int>(3);
    concur::shared_array<int> a = view;
    return a[0];
}

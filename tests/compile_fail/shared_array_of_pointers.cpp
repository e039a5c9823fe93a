// SPDX-License-Identifier: BSL-1.0
// An address means nothing in another process.
// expect: the elements of a shared_array are seen by several processes
#include <concur/shared_array.hpp>

struct node {
    int value;
    node* next;
};

int main() { return static_cast<int>(concur::shared_array<node>(3).size()); }

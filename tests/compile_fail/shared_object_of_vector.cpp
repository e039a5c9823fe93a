// SPDX-License-Identifier: BSL-1.0
// A vector keeps its elements in one process.
// expect: a shared_object is seen by several processes
#include <concur/shared_object.hpp>

#include <vector>

int main() { return static_cast<int>(concur::shared_object<std::vector<int>>()->size()); }

// SPDX-License-Identifier: BSL-1.0
// A string keeps its characters elsewhere.
// expect: the elements of a shared_array are seen by several processes
#include <concur/shared_array.hpp>

#include <string>

int main() { return static_cast<int>(concur::shared_array<std::string>(3).size()); }

// SPDX-License-Identifier: BSL-1.0
// Two processes cannot own one object.
// expect: a shared_ptr does not travel
#include <concur/codec.hpp>

#include <memory>
#include <vector>

int main() { return static_cast<int>(concur::encode(std::vector<std::shared_ptr<int>>()).size()); }

// SPDX-License-Identifier: BSL-1.0
// A view is an address.
// expect: a pointer, reference, string_view or span does not travel
#include <concur/codec.hpp>

#include <string_view>
#include <vector>

int main() { return static_cast<int>(concur::encode(std::vector<std::string_view>()).size()); }

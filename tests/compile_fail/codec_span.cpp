// SPDX-License-Identifier: BSL-1.0
// A span is an address.
// expect: a pointer, reference, string_view or span does not travel
#include <concur/codec.hpp>

#include <span>

int main() { return static_cast<int>(concur::encode(std::span<int>()).size()); }

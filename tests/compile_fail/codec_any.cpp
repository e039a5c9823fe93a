// SPDX-License-Identifier: BSL-1.0
// Nobody knows what is in a std::any.
// expect: send a std::variant
#include <concur/codec.hpp>

#include <any>

int main() { return static_cast<int>(concur::encode(std::any(1)).size()); }

// SPDX-License-Identifier: BSL-1.0
// The members of a base class cannot be listed.
// expect: C++ cannot list the members of a struct with a base class
#include <concur/codec.hpp>

#include <string>

struct named {
    std::string name;
};
struct page : named {
    int number;
};

int main() { return static_cast<int>(concur::encode(page{{"abc"}, 1}).size()); }

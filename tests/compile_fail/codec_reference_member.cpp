// SPDX-License-Identifier: BSL-1.0
// A reference is an address.
// expect: a pointer, reference, string_view or span does not travel
#include <concur/codec.hpp>

#include <string>

struct entry {
    int& number;
    std::string text;
};

int main() {
    int x = 1;
    return static_cast<int>(concur::encode(entry{x, "abc"}).size());
}

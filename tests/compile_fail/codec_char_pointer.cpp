// SPDX-License-Identifier: BSL-1.0
// The text behind a pointer stays here.
// expect: a pointer, reference, string_view or span does not travel
#include <concur/codec.hpp>

struct entry {
    int number;
    const char* text;
};

int main() { return static_cast<int>(concur::encode(entry{1, "abc"}).size()); }

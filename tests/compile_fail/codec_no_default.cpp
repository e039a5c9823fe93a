// SPDX-License-Identifier: BSL-1.0
// What serialize fills must exist first.
// expect: a type with serialize needs a default constructor
#include <concur/codec.hpp>

#include <string>

struct page {
    explicit page(std::string t) : text(t) {}
    std::string text;
    template <class A>
    void serialize(A& ar) {
        ar(text);
    }
};

int main() { return static_cast<int>(concur::encode(page("abc")).size()); }

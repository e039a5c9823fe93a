// SPDX-License-Identifier: BSL-1.0
// A class keeps its members to itself.
// expect: give it template <class A> void serialize(A& ar) { ar(member, member...); }
#include <concur/codec.hpp>

#include <string>

class page {
public:
    explicit page(std::string text) : text_(text) {}

private:
    std::string text_;
};

int main() { return static_cast<int>(concur::encode(page("abc")).size()); }

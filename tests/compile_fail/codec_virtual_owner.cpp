// SPDX-License-Identifier: BSL-1.0
// A unique_ptr to a base class would lose the derived class.
// expect: a unique_ptr to a class with virtual functions
#include <concur/codec.hpp>

#include <memory>

struct shape {
    virtual ~shape() = default;
    double area = 0;
};

int main() { return static_cast<int>(concur::encode(std::make_unique<shape>()).size()); }

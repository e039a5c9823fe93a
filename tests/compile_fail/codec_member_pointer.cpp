// SPDX-License-Identifier: BSL-1.0
// A member function has no address of its own kind in another process.
// expect: a pointer to a member does not travel to another process; wrap it in a lambda
#include <concur/codec.hpp>

struct counter {
    int value;
    int get() const { return value; }
};

int main() { return concur::detail::check_callable<decltype(&counter::get)>(); }

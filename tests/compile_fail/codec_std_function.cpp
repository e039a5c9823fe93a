// SPDX-License-Identifier: BSL-1.0
// Nobody knows what is in a std::function.
// expect: a std::function, std::bind or other callable without a known type does not travel
#include <concur/codec.hpp>

#include <functional>

int main() { return concur::detail::check_callable<std::function<int()>>(); }

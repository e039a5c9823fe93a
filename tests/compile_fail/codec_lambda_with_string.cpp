// SPDX-License-Identifier: BSL-1.0
// A lambda that captures a string cannot be taken apart.
// expect: this lambda captures something that is more than plain bytes
#include <concur/codec.hpp>

#include <string>

int main() {
    std::string s = "abc";
    auto f = [s] { return s.size(); };
    return concur::detail::check_callable<decltype(f)>();
}

// SPDX-License-Identifier: BSL-1.0
// std::bind keeps its arguments where the codec cannot see them.
// expect: or concur::partial(f, values...)
#include <concur/codec.hpp>

#include <functional>
#include <string>

int main() {
    auto f = std::bind([](std::string const& s) { return s.size(); }, std::string("abc"));
    return concur::detail::check_callable<decltype(f)>();
}

// SPDX-License-Identifier: BSL-1.0
// A translation unit that knows nothing of concur and has globals that need construction.
#include <map>
#include <string>

namespace {
std::map<int, std::string> names = {{1, "one"}, {2, "two"}, {3, "three"}};
}

int length_of_name(int number) { return static_cast<int>(names[number].size()); }

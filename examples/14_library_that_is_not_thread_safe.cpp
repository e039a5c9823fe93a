// SPDX-License-Identifier: BSL-1.0
// New here: code with global state, run in parallel. Each worker process has a copy of every global
// variable and runs one task at a time, so nothing needs a lock. Read docs/06-processes.md next.

#include <concur/process_pool.hpp>

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

// A library as there are many in C: set up once, and each call remembers the one before.
namespace library {
char separators[8] = "";
int longest = 0;

void set_up(char const* what) { std::strncpy(separators, what, sizeof separators - 1); }
void begin() { longest = 0; }
void see(int length) {
    if (length > longest) longest = length;
}
}  // namespace library

// std::strtok too keeps its place in the text in a global variable.
int longest_word(std::string text) {
    library::begin();
    for (char* word = std::strtok(text.data(), library::separators); word;
         word = std::strtok(nullptr, library::separators)) {
        library::see(static_cast<int>(std::strlen(word)));
    }
    return library::longest;
}

int main() {
    concur::process_pool pool({
        .workers = 2,
        // Once in every worker, before its first task; also in those that replace others.
        .initializer = [] { library::set_up(" ,.-"); },
    });

    std::vector<std::string> const texts{"to be, or not to be", "that is the question",
                                         "whether-or-not", "tis nobler in the mind"};
    for (int length : pool.map(longest_word, texts)) std::printf("%d ", length);
    std::printf("\n");

    // This process has a library of its own, which nobody has set up.
    std::printf("here: '%s'\n", library::separators);
}

// Output:
// 3 8 7 6
// here: ''

// SPDX-License-Identifier: BSL-1.0
// Options are named fields, so a wrong name is an error.
// expect: timout
#include <concur/executor.hpp>

int main() { const concur::task_options options{.timout = {}}; }

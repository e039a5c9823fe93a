// SPDX-License-Identifier: BSL-1.0
// Runs a Python script that measures itself: the start of Python is not in what it prints.
#pragma once

#include <cstddef>
#include <string>

#include "../harness.hpp"

namespace bench {

/// The one number that the script prints, in a python3 of its own, as the repetition of `n` items.
/// Ends the benchmark with an error when there is none.
double number_from_python(run& r, std::size_t n, std::string const& script);

}  // namespace bench

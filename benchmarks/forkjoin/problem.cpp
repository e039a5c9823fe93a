// SPDX-License-Identifier: BSL-1.0
#include "problem.hpp"

#include <filesystem>

namespace forkjoin {

std::size_t threads_now() {
    std::filesystem::directory_iterator const tasks{"/proc/self/task"};
    return static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

namespace {

using kind = bench::bar::kind;

bench::bars const required{
    {fib, kind::time_ratio, 1.2, {"tbb"}},
    {nested, kind::absolute, 2, {}, "threads"},  // the caller and the one worker
};

}  // namespace
}  // namespace forkjoin

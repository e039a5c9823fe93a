// SPDX-License-Identifier: BSL-1.0
#include "problem.hpp"

namespace coding {

// pickle.cpp makes the same in Python.
std::vector<sim> make_sims(std::size_t n) {
    std::vector<sim> made;
    made.reserve(n);
    for (std::size_t i = 0; i < n; ++i) {
        int const id = static_cast<int>(i);
        double const x = static_cast<double>(i) * 0.5;
        made.push_back({id,
                        x,
                        i % 2 == 0,
                        "simulation number " + std::to_string(i),
                        std::vector<double>(16, x),
                        {"alpha", "beta", "gamma"},
                        {{"one", id}, {"two", id}, {"three", id}},
                        x,
                        {id, x},
                        {id, x, "a string that is longer than the small ones"}});
    }
    return made;
}

namespace {

using kind = bench::bar::kind;

bench::bars const required{
    {doubles, kind::time_ratio, 1.1, {"memcpy"}},
    {plain, kind::absolute, 5},
    {nested, kind::time_ratio, 0.1, {"pickle"}},
};

}  // namespace
}  // namespace coding

// SPDX-License-Identifier: BSL-1.0
// The codec against memcpy (what plain data must cost) and Python's pickle (what its users know).
#pragma once

#include "../harness.hpp"

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace coding {

inline constexpr bench::problem doubles{
    "encode_doubles", "vector<double> of 1,000,000 into a frame that is there", "ns/double"};
inline constexpr bench::problem plain{
    "plain_struct", "a struct of 5 scalars there and back, 1,000,000 times", "ns/struct"};
inline constexpr bench::problem nested{
    "nested", "10,000 nested records of 10 members, there and back", "ns/record", "record_ns"};

struct scalars {
    int id;
    double x, y, z;
    char kind;
};

struct sub {
    int a;
    double b;
    std::string c;
};
struct sim {
    int id;
    double time;
    bool done;
    std::string name;
    std::vector<double> state;
    std::vector<std::string> tags;
    std::map<std::string, int> counts;
    std::optional<double> best;
    std::pair<int, double> last;
    sub inner;
};

std::vector<sim> make_sims(std::size_t n);

}  // namespace coding

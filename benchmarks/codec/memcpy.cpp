// SPDX-License-Identifier: BSL-1.0
// The floor for plain data.
#include "problem.hpp"

#include <cstring>
#include <numeric>

namespace {

void encode_doubles(bench::run& r) {
    auto const n = r.size(1'000'000, 100'000);
    std::vector<double> values(n);
    std::iota(values.begin(), values.end(), 0.0);
    std::vector<double> frame(n + 1);
    r.measure(n, [&] { std::memcpy(frame.data() + 1, values.data(), 8 * n); });
    bench::run::check(frame.back() == values.back(), "other doubles came back");
}

bench::rival const rival{"memcpy", {{coding::doubles, encode_doubles}}};

}  // namespace

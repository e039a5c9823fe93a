// SPDX-License-Identifier: BSL-1.0
// New here: map() runs a function over a range, and gives the results in the order of the input,
// whatever was ready first. The speed-up is as good as the CPUs that this machine really has.
// Read 03_as_completed.cpp next.

#include <concur/thread_pool.hpp>

#include <chrono>
#include <cstdio>
#include <utility>
#include <vector>

using seconds = std::chrono::duration<double>;
using watch = std::chrono::steady_clock;

// The prime factors of n, by trial division, inefficiently on purpose: a task for a CPU.
std::vector<int> long_factorize(int n) {
    std::vector<int> factors;
    for (int divisor = 2; n > 1; ++divisor) {
        for (; n % divisor == 0; n /= divisor) factors.push_back(divisor);
    }
    return factors;
}

// A callable that gives (result, how long it took).
auto timed(auto f) {
    return [f](auto... arguments) -> std::pair<decltype(f(arguments...)), double> {
        auto const start = watch::now();
        auto result = f(arguments...);
        return {result, seconds(watch::now() - start).count()};
    };
}

int main() {
    concur::thread_pool pool;
    std::vector<int> const numbers{29'999'999, 360'360, 19'999'999, 39'999'983};

    auto const start = watch::now();
    double sum = 0;
    auto number = numbers.begin();
    for (auto const& [factors, elapsed] : pool.map(timed(long_factorize), numbers)) {
        std::printf("%d =", *number++);
        for (int factor : factors) std::printf(" %d", factor);
        std::printf(", took %.3f s\n", elapsed);
        sum += elapsed;
    }
    double const wall = seconds(watch::now() - start).count();
    std::printf("sum %.3f s, on the wall %.3f s: %.1f times as fast\n", sum, wall, sum / wall);
}

// Output:
// 29999999 = 29999999, took ~ s
// 360360 = 2 2 2 3 3 5 7 11 13, took ~ s
// 19999999 = 19999999, took ~ s
// 39999983 = 39999983, took ~ s
// sum ~ s, on the wall ~ s: ~ times as fast

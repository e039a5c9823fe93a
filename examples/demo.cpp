// SPDX-License-Identifier: BSL-1.0
// The job behind scripts/demo: counts primes by trial division on every executor that there is. The
// call is the same each time; only the executor's name changes. Then a job that only waits, where a
// loop with one thread beats them all. Read 00_hello.cpp next.
//
//     concur_demo [limit]     primes up to this number; default 10,000,000

#include <concur/concur.hpp>

#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <functional>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <vector>

// One line for each executor that computes on the CPUs, and for each that can wait.
constexpr std::string_view executors[] = {
    "serial",
    "threads",
    "processes",
};
constexpr std::string_view waiting_executors[] = {
    "serial",
    "threads",
    "loop",
};

// The job: 2 and 3 are prime, even numbers are not, the others have no odd divisor up to their
// root.
bool is_prime(int n) {
    if (n == 2 || n == 3) return true;
    if (n <= 1 || n % 2 == 0) return false;
    int const last = static_cast<int>(std::sqrt(n));
    for (int divisor = 3; divisor <= last; divisor += 2) {
        if (n % divisor == 0) return false;
    }
    return true;
}

// The whole parallel program, for any executor.
int count_primes(concur::executor auto& ex, int limit) {
    auto const one_if_prime = [](int n) { return is_prime(n) ? 1 : 0; };
    return ex.map_reduce(one_if_prime, std::plus<>(), std::views::iota(1, limit + 1), 0);
}

// The truth, found in another way: the sieve of Eratosthenes.
int count_by_sieve(int limit) {
    auto const end = static_cast<std::size_t>(limit) + 1;
    std::vector<bool> composite(end);
    int primes = 0;
    for (std::size_t n = 2; n < end; ++n) {
        if (composite[n]) continue;
        ++primes;
        for (std::size_t multiple = n * n; multiple < end; multiple += n)
            composite[multiple] = true;
    }
    return primes;
}

// 10000000 as 10,000,000.
std::string with_commas(int number) {
    std::string text = std::to_string(number);
    for (auto at = static_cast<int>(text.size()) - 3; at > 0; at -= 3) {
        text.insert(static_cast<std::size_t>(at), 1, ',');
    }
    return text;
}

struct measurement {
    int primes;
    std::size_t workers;
    double seconds;
};

measurement measure(std::string_view name, int limit) {
    return concur::with_executor(name, {}, [&](auto& ex) {
        auto const start = std::chrono::steady_clock::now();
        int const primes = count_primes(ex, limit);
        std::chrono::duration<double> const took = std::chrono::steady_clock::now() - start;
        return measurement{primes, ex.worker_count(), took.count()};
    });
}

// Follows a null pointer when asked for the third number.
int crash_at_three(int n) {
    int const* volatile number = n == 3 ? nullptr : &n;
    return *number * n;
}

// What only processes can: a task crashes, and everything else goes on.
bool survive_a_crash() {
    std::printf("\nFive tasks in worker processes; the third follows a null pointer:\n");
    std::fflush(stdout);
    concur::process_pool pool;
    std::vector<concur::future<int>> squares;
    for (int n = 1; n <= 5; ++n) squares.push_back(pool.submit(crash_at_three, n));
    bool as_expected = true;
    for (int n = 1; n <= 5; ++n) {
        auto const square = squares[static_cast<std::size_t>(n - 1)].get_outcome();
        std::printf("  task %d: %s\n", n,
                    square ? std::to_string(*square).c_str() : square.what().c_str());
        as_expected = as_expected && square.has_value() == (n != 3);
    }
    return as_expected && pool.stats().workers_lost == 1;
}

// The other kind of job: many requests that only wait. On a loop a request is a coroutine, on the
// others a function that blocks.
constexpr int requests = 200;
constexpr auto delay = std::chrono::milliseconds(5);

concur::task<int> request_awaiting(int id) {
    co_await concur::sleep_for(delay);
    co_return id;
}
int request_blocking(int id) {
    std::this_thread::sleep_for(delay);
    return id;
}

measurement measure_requests(std::string_view name) {
    return concur::with_executor(name, {}, [](auto& ex) {
        auto const start = std::chrono::steady_clock::now();
        auto const ids = std::views::iota(0, requests);
        std::vector<int> answers;
        if constexpr (std::is_same_v<std::remove_cvref_t<decltype(ex)>, concur::event_loop>) {
            answers = ex.map(request_awaiting, ids).collect();
        } else {
            answers = ex.map({.chunk_size = 1}, request_blocking, ids).collect();
        }
        std::chrono::duration<double> const took = std::chrono::steady_clock::now() - start;
        int right = 0;
        for (int i = 0; i < requests; ++i) right += answers[static_cast<std::size_t>(i)] == i;
        return measurement{right, ex.worker_count(), took.count()};
    });
}

bool show_requests() {
    std::printf("\n%d requests of %d ms each, which only wait.\n\n", requests,
                static_cast<int>(delay.count()));
    std::printf("  executor    workers        time    speed-up   check\n");
    double serial_seconds = 0;
    bool all_right = true;
    for (auto const name : waiting_executors) {
        auto const [right, workers, seconds] = measure_requests(name);
        if (name == "serial") serial_seconds = seconds;
        all_right = all_right && right == requests;
        std::printf("  %-10s %8zu %9.3f s %9.2f x   %s\n", std::string(name).c_str(), workers,
                    seconds, serial_seconds / seconds, right == requests ? "ok" : "WRONG");
    }
    return all_right;
}

std::optional<int> limit_from(int argc, char** argv) {
    if (argc == 1) return 10'000'000;
    std::string_view const text = argv[1];
    int limit = 0;
    auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), limit);
    bool const whole = problem == std::errc() && end == text.data() + text.size();
    if (argc > 2 || !whole || limit < 1 || limit > 1'000'000'000) return std::nullopt;
    return limit;
}

int main(int argc, char** argv) try {
    auto const limit = limit_from(argc, argv);
    if (!limit) {
        std::fprintf(stderr,
                     "concur_demo takes one argument at most: up to which number to count primes, "
                     "from 1 to 1000000000.\nFor instance: concur_demo 1000000\n");
        return 2;
    }
    std::printf("Primes up to %s by trial division; this process may use %zu CPU%s.\n\n",
                with_commas(*limit).c_str(), concur::usable_cpus(),
                concur::usable_cpus() == 1 ? "" : "s");
    std::printf("  executor    workers        time    speed-up   check\n");

    int const truth = count_by_sieve(*limit);
    double serial_seconds = 0;
    bool all_right = true;
    for (auto const name : executors) {
        std::printf("  %-10s", std::string(name).c_str());
        std::fflush(stdout);
        auto const [primes, workers, seconds] = measure(name, *limit);
        if (name == "serial") serial_seconds = seconds;
        bool const right = primes == truth;
        all_right = all_right && right;
        std::printf(" %8zu %9.3f s %9.2f x   %s\n", workers, seconds, serial_seconds / seconds,
                    right ? "ok" : ("WRONG: " + with_commas(primes)).c_str());
    }
    std::printf("\nPrimes found by a sieve, to check: %s.\n", with_commas(truth).c_str());
    all_right = survive_a_crash() && all_right;
    all_right = show_requests() && all_right;
    return all_right ? 0 : 1;
} catch (std::exception const& problem) {
    std::fprintf(stderr, "\nconcur_demo: %s\n", problem.what());
    return 1;
}

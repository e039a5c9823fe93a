// SPDX-License-Identifier: BSL-1.0
// New here: memory that every worker process sees. A handle crosses to the task, the elements stay
// where they are; nothing has to be unlinked. Read docs/08-shared-memory.md next.

#include <concur/process_pool.hpp>
#include <concur/shared_array.hpp>

#include <atomic>
#include <cstdio>
#include <vector>

using numbers = concur::shared_array<int const>;
using counter = concur::shared_object<std::atomic<long>>;
using histogram = concur::shared_array<long>;

// Looks at its part of the numbers. Others count at the same time, hence the atomics.
void count(numbers values, std::size_t part, counter even, histogram digits) {
    std::size_t const length = values.size() / 8;
    for (int value : values.span().subspan(part * length, length)) {
        if (value % 2 == 0) *even += 1;
        std::atomic_ref(digits[static_cast<std::size_t>(value % 10)]) += 1;
    }
}

int main() {
    concur::process_pool pool(2);

    concur::shared_array<int> values(80'000);  // zeroed
    int next = 1;
    for (int& value : values) value = next = static_cast<int>(next * 16807LL % 2147483647);
    counter even(0);
    histogram digits(10);

    std::vector<concur::future<void>> parts;
    for (std::size_t part = 0; part < 8; ++part) {
        parts.push_back(pool.submit(count, values, part, even, digits));
    }
    for (auto& part : parts) part.get();

    std::printf("%ld even ones\n", even->load());
    long all = 0, least = digits[0];
    for (long n : digits) {
        all += n;
        if (n < least) least = n;
    }
    std::printf("%ld in the histogram, every digit more than %d times: %s\n", all, 7000,
                least > 7000 ? "yes" : "no");

    // A task may also make an array: it lives on when its worker is gone.
    auto squares = pool.submit([] {
                           concur::shared_array<int> made(5);
                           for (std::size_t i = 0; i < 5; ++i) made[i] = static_cast<int>(i * i);
                           return made;
                       })
                       .get();
    std::printf("%d %d %d\n", squares[2], squares[3], squares[4]);
}

// Output:
// 39633 even ones
// 80000 in the histogram, every digit more than 7000 times: yes
// 4 9 16

// SPDX-License-Identifier: BSL-1.0
// The right way to write what the others get wrong.
// expect-none
#include <concur/as_completed.hpp>
#include <concur/serial_executor.hpp>
#include <concur/thread_pool.hpp>
#include <concur/wait.hpp>
#include <concur/when.hpp>

#include <functional>
#include <vector>

#pragma GCC diagnostic error "-Wunused-result"

int main() {
    concur::thread_pool pool(1);
    concur::serial_executor ex;
    int x = 1;
    auto changed = pool.submit([](int& shared) { ++shared; }, std::ref(x));
    auto a = pool.submit([] { return 1; });
    auto b = pool.submit([](int y) { return y; }, std::move(a));
    pool.post([](const char*) {}, "text");
    std::vector<int> numbers;
    pool.for_each([](int& y) { ++y; }, numbers);
    auto result = pool.map([](int y) { return y; }, numbers);
    std::vector<concur::future<int>> futures;
    futures.push_back(ex.submit([] { return 1; }));
    for (auto& f : concur::as_completed(futures)) f.wait();
    static_cast<void>(concur::wait(futures, concur::return_when::all_completed));
    auto first = concur::when_any(futures);
    auto all = concur::when_all(std::move(b), concur::future<int>());
}

// SPDX-License-Identifier: BSL-1.0
// f gets the value of the future, not the future.
// expect: submit(f, args...): f cannot be called with
#include <concur/thread_pool.hpp>

#include <string>

int main() {
    concur::thread_pool pool(1);
    auto a = pool.submit([] { return std::string(); });
    auto b = pool.submit([](int x) { return x; }, std::move(a));
}

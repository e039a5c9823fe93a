// SPDX-License-Identifier: BSL-1.0
// No coroutine functions in map either, on executors that do not run them.
// expect: coroutine function
#include <concur/thread_pool.hpp>

#include <coroutine>
#include <vector>

struct fire_and_forget {
    struct promise_type {
        fire_and_forget get_return_object() { return {}; }
        std::suspend_never initial_suspend() { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() {}
    };
};

int main() {
    concur::thread_pool pool(1);
    const std::vector<int> numbers;
    auto result = pool.map([](int) -> fire_and_forget { co_return; }, numbers);
}

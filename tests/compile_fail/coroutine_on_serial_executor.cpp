// SPDX-License-Identifier: BSL-1.0
// A coroutine function would only make the coroutine here, and nobody would resume it.
// expect: f is a coroutine function
#include <concur/serial_executor.hpp>

#include <coroutine>

struct fire_and_forget {
    struct promise_type {
        fire_and_forget get_return_object() { return {}; }
        std::suspend_never initial_suspend() { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() {}
    };
};

fire_and_forget work(int) { co_return; }

int main() {
    concur::serial_executor ex;
    auto f = ex.submit(work, 1);
}

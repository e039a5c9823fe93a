// SPDX-License-Identifier: BSL-1.0
// A future is read once: std::move it, or share() it.
// expect: co_await of a future that has a name
#include <concur/event_loop.hpp>

concur::task<void> work(concur::future<int>& f) { co_await f; }

int main() {
    concur::event_loop loop;
    auto f = loop.submit([] { return 1; });
    loop.post(work, std::ref(f));
}

// SPDX-License-Identifier: BSL-1.0
// f cannot take what it is given.
// expect: submit(f, args...): f cannot be called with copies of these arguments
// expect: pass std::ref(x) to share x
#include <concur/thread_pool.hpp>

#include <string>

int main() {
    concur::thread_pool pool(1);
    auto f = pool.submit([](int* p) { return *p; }, std::string("no pointer"));
}

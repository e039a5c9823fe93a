#include <concur/thread_pool.hpp>

int other();

int main() {
    concur::thread_pool pool(2);
    int const here = pool.submit([](int x) { return x + 1; }, 41).get();
    return here == 42 && other() == 42 ? 0 : 1;
}

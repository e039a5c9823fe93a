#include <concur/thread_pool.hpp>

int other() {
    concur::thread_pool pool(2);
    return pool.submit([] { return 42; }).get();
}

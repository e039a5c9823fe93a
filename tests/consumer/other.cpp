#include <concur/process_pool.hpp>
#include <concur/thread_pool.hpp>

int other() {
    concur::thread_pool threads(2);
    concur::process_pool processes(1);
    return threads.submit([] { return 40; }).get() + processes.submit([] { return 2; }).get();
}

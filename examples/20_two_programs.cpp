// SPDX-License-Identifier: BSL-1.0
// New here: shared memory with a name, for programs that do not know each other. This one starts
// itself once more as the consumer; a shell could do the same. Read docs/08-shared-memory.md next.

#include <concur/shared_array.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>

struct message {
    int ready;  // 1: the rest may be read
    int number;
};

int consume(char const* name) {
    auto messages = concur::shared_array<message>::open(name);
    long sum = 0;
    for (message& m : messages) {
        // An atomic in shared memory orders what two programs do, as between threads.
        while (std::atomic_ref(m.ready).load() == 0) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        sum += m.number;
    }
    std::printf("consumer: the sum is %ld\n", sum);
    return 0;
}

int main(int argc, char** argv) {
    if (argc == 2) return consume(argv[1]);

    std::string const name = "concur-example-" + std::to_string(getpid());
    auto messages = concur::shared_array<message>::create(name, 100);
    std::printf("producer: %zu messages\n", messages.size());
    std::fflush(stdout);
    pid_t const consumer = fork();
    if (consumer == 0) execl("/proc/self/exe", argv[0], name.c_str(), nullptr);

    int i = 0;
    for (message& m : messages) {
        m.number = ++i;
        std::atomic_ref(m.ready).store(1);
    }
    int status = 0;
    waitpid(consumer, &status, 0);

    // A name lives until somebody removes it: that is what it is for.
    concur::shared_array<message>::remove(name);
    try {
        concur::shared_array<message>::open(name);
    } catch (std::exception const&) {
        std::printf("the name is gone\n");
    }
}

// Output:
// producer: 100 messages
// consumer: the sum is 5050
// the name is gone

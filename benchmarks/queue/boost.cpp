// SPDX-License-Identifier: BSL-1.0
// Boost.Interprocess: a queue with a lock, which does not survive a process that dies with it.
#include "problem.hpp"

#include <boost/interprocess/ipc/message_queue.hpp>

#include <string>

namespace {

namespace ipc = boost::interprocess;

std::string next_name() {
    static int made = 0;
    return "concur_bench_" + std::to_string(getpid()) + "_" + std::to_string(++made);
}

template <class T>
class queue {
public:
    queue() : q_(ipc::create_only, name_.c_str(), queues::places, sizeof(T)) {
        ipc::message_queue::remove(name_.c_str());  // both processes have it open by a fork
    }

    bool push(T const& what) { return q_.try_send(&what, sizeof what, 0); }
    bool pop(T& what) {
        ipc::message_queue::size_type size = 0;
        unsigned priority = 0;
        return q_.try_receive(&what, sizeof what, size, priority);
    }

private:
    std::string const name_ = next_name();
    ipc::message_queue q_;
};

bench::rival const rival{"boost message_queue",
                         {{queues::alone, queues::solve_alone<queue>},
                          {queues::threads, queues::solve_threads<queue>},
                          {queues::processes, queues::solve_small<queue>},
                          {queues::large, queues::solve_large<queue>}}};

}  // namespace

// SPDX-License-Identifier: BSL-1.0
#include <concur/shared_queue.hpp>

#include "problem.hpp"

namespace {

template <class T>
struct queue {
    concur::shared_queue<T> q{queues::places};

    bool push(T const& what) { return q.try_push(what); }
    bool pop(T& what) {
        auto const got = q.try_pop();
        if (got) what = *got;
        return got.has_value();
    }
};

bench::rival const rival{"concur",
                         {{queues::alone, queues::solve_alone<queue>},
                          {queues::threads, queues::solve_threads<queue>},
                          {queues::processes, queues::solve_small<queue>},
                          {queues::large, queues::solve_large<queue>}}};

}  // namespace

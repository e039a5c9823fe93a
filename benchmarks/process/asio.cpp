// SPDX-License-Identifier: BSL-1.0
// boost::asio::thread_pool with futures: threads, to be beaten by processes.
#include "problem.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <future>

namespace {

using namespace processes;

void run_empty_tasks(bench::run& r) {
    auto const n = r.size(1'000'000, 50'000);
    boost::asio::thread_pool pool{r.workers()};
    std::size_t done = 0;
    r.measure(n, [&] {
        std::vector<std::future<void>> futures;
        futures.reserve(n);
        for (std::size_t i = 0; i < n; ++i)
            futures.push_back(boost::asio::post(pool, boost::asio::use_future([] {})));
        for (auto& each : futures) {
            each.get();
            ++done;
        }
    });
    bench::run::check(done == n, "tasks were lost");
    r.counter("task_ns", r.result().wall * 1e9 / static_cast<double>(n));
}

bench::rival const rival{"asio_threads", {{empty_tasks, run_empty_tasks}}};

}  // namespace

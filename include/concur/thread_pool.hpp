// SPDX-License-Identifier: BSL-1.0
// thread_pool: tasks on the threads of this process.
// Every member may be called from any thread. Workers steal from each other; a task that waits for
// another task of the pool runs it, so waiting inside tasks never deadlocks. An idle pool uses no
// CPU. Cost: submit to get about 5 us, a task in a stream of tasks about 20 ns.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include <concur/detail/task/handler.hpp>
#include <concur/detail/thread_pool/core.hpp>
#include <concur/detail/thread_pool/run.hpp>
#include <concur/detail/thread_pool/shutdown.hpp>
#include <concur/detail/thread_pool/waiting.hpp>
#include <concur/detail/verbs/verbs.hpp>
#include <concur/executor.hpp>

namespace concur::inline v0 {

struct thread_pool_options {
    count workers = 0;      ///< 0: usable_cpus()
    std::string name = {};  ///< of the threads
    /// f(std::size_t worker) or f(), once in every worker before its first task. When it throws,
    /// the executor is broken: pending and later calls get broken_executor with its text.
    detail::handler<std::size_t> initializer = {};
    /// Gets what post()ed tasks and callbacks throw; default: a line on stderr.
    detail::handler<std::exception_ptr> on_error = {};
    count max_pending = 0;  ///< submit from outside waits while so many tasks wait; 0: no limit
};

class thread_pool : public detail::executor_verbs<thread_pool> {
public:
    /// Starts the workers.
    /// Throws   std::invalid_argument for options out of range, broken_executor when threads cannot
    ///          be started.
    explicit thread_pool(thread_pool_options options = {});
    explicit thread_pool(count workers) : thread_pool(thread_pool_options{.workers = workers}) {}
    thread_pool(thread_pool const&) = delete;
    thread_pool& operator=(thread_pool const&) = delete;

    /// shutdown(): everything submitted finishes first. Inside one of its own tasks it cannot wait
    /// for itself; then the threads finish the rest and go by themselves.
    ~thread_pool();

    std::size_t worker_count() const { return core_->workers(); }
    executor_stats stats() const { return core_->stats(); }

    /// Blocks until nothing is pending or running; the pool stays usable.
    /// Throws   would_deadlock inside an own task or callback.
    void wait_idle() { core_->wait_idle(); }

    /// No more submits. With .wait (the default) it returns when everything has finished and the
    /// threads are gone; with .cancel_pending, what has not started is cancelled. May be repeated.
    /// Throws   would_deadlock inside an own task or callback, if it were to wait; then nothing is
    ///          changed.
    void shutdown(shutdown_options how = {}) { core_->shut_down(how); }

private:
    friend class detail::executor_verbs<thread_pool>;
    detail::thread_pool_core& core() noexcept { return *core_; }
    [[gnu::cold]] static std::size_t checked_workers(std::size_t wanted);

    detail::thread_pool_core* core_;
};

// ---- implementation

inline std::size_t thread_pool::checked_workers(std::size_t wanted) {
    constexpr std::size_t most = 32'767;
    if (wanted > most) {
        throw std::invalid_argument(
            detail::text("thread_pool: %zu workers asked for; at most %zu are possible, and 0 "
                         "means one per usable CPU",
                         wanted, most));
    }
    return wanted != 0 ? wanted : std::min(usable_cpus(), most);
}

inline thread_pool::thread_pool(thread_pool_options options)
    : core_(new detail::thread_pool_core({checked_workers(options.workers), std::move(options.name),
                                          std::move(options.initializer),
                                          std::move(options.on_error), options.max_pending})) {
    try {
        core_->start_threads();
    } catch (...) {
        core_->release();
        throw;
    }
}

inline thread_pool::~thread_pool() {
    if (core_->inert()) return;  // a child of fork(): threads and locks are not there
    if (detail::place_in(*core_)) {
        core_->shut_down({.wait = false, .cancel_pending = false});
        core_->abandon_threads();
    } else {
        core_->shut_down({});
    }
    core_->release();
}

}  // namespace concur::inline v0

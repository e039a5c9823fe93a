// SPDX-License-Identifier: BSL-1.0
// process_pool: the interface of thread_pool, and each task in a worker process. A task that
// crashes, leaks, never ends or calls code that is not thread-safe costs that task.
// Every member may be called from any thread. Calls travel through shared memory; an idle pool uses
// no CPU. Cost: submit to get 0.1 us while a worker polls, 25 to 45 us when it sleeps; a task in a
// stream of tasks less than 100 ns.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include <concur/detail/process_pool/core.hpp>
#include <concur/detail/process_pool/dispatch.hpp>
#include <concur/detail/process_pool/manager.hpp>
#include <concur/detail/process_pool/replies.hpp>
#include <concur/detail/process_pool/serve.hpp>
#include <concur/detail/process_pool/shutdown.hpp>
#include <concur/detail/remote/exception_fields.hpp>
#include <concur/detail/remote/verbs.hpp>
#include <concur/detail/task/handler.hpp>
#include <concur/executor.hpp>

namespace concur::inline v0 {

namespace detail {

/// A user's initializer in the options of a process_pool: it travels, so it is encoded at once.
class far_initializer {
public:
    far_initializer() = default;
    template <class F>
        requires(!std::is_same_v<std::decay_t<F>, far_initializer>)
    far_initializer(F&& f) {
        using function = std::decay_t<F>;
        constexpr bool callable =
            std::is_invocable_v<function, std::size_t> || std::is_invocable_v<function>;
        static_assert(callable, "process_pool: the initializer is called as f(worker) or f()");
        if constexpr (callable && check_callable<function>()) {
            if constexpr (requires { static_cast<bool>(f == nullptr); }) {
                if (f == nullptr) return;
            }
            require_no_local_captured(f);
            size_pass size;
            size(f);
            travels_.bytes.resize(size.bytes());
            write_pass out(travels_.bytes.data(), size.bytes());
            carry_scope const carrying(&travels_.pins);
            out(f);
            travels_.function = reinterpret_cast<std::uintptr_t>(&run<function>);
        }
    }
    travelling_initializer take() && { return std::move(travels_); }

private:
    template <class F>
    static void run(incoming_call& incoming) {
        read_pass in = incoming.arguments();
        F f = read_callable<F>(in);
        if constexpr (std::is_invocable_v<F, std::size_t>) {
            f(this_worker::index());
        } else {
            f();
        }
    }

    travelling_initializer travels_;
};

}  // namespace detail

struct process_pool_options {
    count workers = 0;      ///< 0: usable_cpus()
    std::string name = {};  ///< in messages, and of its thread and processes: name/0, name/1 ...
    /// f(std::size_t worker) or f(), once in every worker, replacements too, before its first task.
    /// When it throws, the executor is broken: pending and later calls get broken_executor with its
    /// text.
    detail::far_initializer initializer = {};
    /// Gets what post()ed tasks and callbacks throw; default: a line on stderr.
    detail::handler<std::exception_ptr> on_error = {};
    count max_pending = 0;           ///< submit from outside waits while so many tasks wait
    count max_tasks_per_worker = 0;  ///< a worker is replaced after so many; 0: never
    count memory_limit = 0;  ///< private resident bytes: who has more is replaced after its task
    start_method start = start_method::forkserver;  ///< where the workers come from
};

class process_pool : public detail::executor_verbs<process_pool, detail::travelling> {
public:
    /// Starts the workers.
    /// Throws   std::invalid_argument for options out of range, broken_executor when processes
    ///          cannot be started.
    explicit process_pool(process_pool_options options = {});
    explicit process_pool(count workers) : process_pool(process_pool_options{.workers = workers}) {}
    process_pool(process_pool const&) = delete;
    process_pool& operator=(process_pool const&) = delete;

    /// shutdown(): everything submitted finishes first. Inside one of its own callbacks it cannot
    /// wait for itself; then its thread finishes the rest and goes by itself.
    ~process_pool() { core_->leave(); }

    std::size_t worker_count() const { return core_->workers(); }
    executor_stats stats() const { return core_->stats(); }

    /// Blocks until nothing is pending or running; the pool stays usable.
    /// Throws   would_deadlock inside an own callback.
    void wait_idle() { core_->wait_idle(); }

    /// No more submits. With .wait (the default) it returns when everything has finished and the
    /// workers are gone; with .cancel_pending, what has not started is cancelled. May be repeated.
    /// Throws   would_deadlock inside an own callback, if it were to wait; then nothing is changed.
    void shutdown(shutdown_options how = {}) { core_->shut_down(how); }

    /// Ends everything now: running tasks hold worker_lost, pending ones task_cancelled, later
    /// submits throw. May be repeated, also on a pool that is shut down or broken.
    void kill_workers() { core_->kill_workers(); }

private:
    friend class detail::executor_verbs<process_pool, detail::travelling>;
    detail::process_core& core() noexcept { return *core_; }
    [[gnu::cold]] static std::size_t checked_workers(std::size_t wanted);

    detail::process_core* core_;
};

// ---- implementation

inline std::size_t process_pool::checked_workers(std::size_t wanted) {
    constexpr std::size_t most = 4096;
    if (wanted > most) {
        throw std::invalid_argument(
            detail::text("process_pool: %zu workers asked for; at most %zu are possible, and 0 "
                         "means one per usable CPU",
                         wanted, most));
    }
    return wanted != 0 ? wanted : std::min(usable_cpus(), most);
}

inline process_pool::process_pool(process_pool_options options)
    : core_(
          new detail::process_core({checked_workers(options.workers), options.max_tasks_per_worker,
                                    options.memory_limit, options.max_pending, options.start,
                                    std::move(options.name), std::move(options.initializer).take()},
                                   std::move(options.on_error))) {
    try {
        core_->start();
    } catch (...) {
        core_->release();
        throw;
    }
}

}  // namespace concur::inline v0

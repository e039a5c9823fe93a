// SPDX-License-Identifier: BSL-1.0
// event_loop: C++20 coroutines on Boost.Asio, behind the same interface as the pools. One thread,
// ten thousand waits. Every member of event_loop may be called from any thread; what runs on it
// runs on its one thread.
#pragma once

#include <string>
#include <utility>

#include <concur/detail/event_loop/await_asio.hpp>
#include <concur/detail/event_loop/await_future.hpp>
#include <concur/detail/event_loop/await_steps.hpp>
#include <concur/detail/event_loop/combine.hpp>
#include <concur/detail/event_loop/core.hpp>
#include <concur/detail/event_loop/map.hpp>
#include <concur/detail/event_loop/primitives.hpp>
#include <concur/detail/event_loop/queue.hpp>
#include <concur/detail/event_loop/run.hpp>
#include <concur/detail/event_loop/sleep.hpp>
#include <concur/detail/event_loop/submit.hpp>
#include <concur/detail/event_loop/task.hpp>
#include <concur/detail/event_loop/task_group.hpp>
#include <concur/detail/task/handler.hpp>
#include <concur/detail/verbs/verbs.hpp>
#include <concur/executor.hpp>

namespace concur::inline v0 {

struct event_loop_options {
    std::string name = {};  ///< of the thread
    /// Gets what post()ed tasks, callbacks and Asio handlers throw, and the exceptions of
    /// coroutines whose future nobody looks at; default: a line on stderr.
    detail::handler<std::exception_ptr> on_error = {};
    count max_pending = 0;  ///< submit from outside waits while so many tasks wait; 0: no limit
};

namespace detail {
struct loop_front_door;
}

class event_loop : public detail::executor_verbs<event_loop> {
public:
    /// Starts the thread. Throws broken_executor when that is impossible.
    explicit event_loop(event_loop_options options = {});
    event_loop(event_loop const&) = delete;
    event_loop& operator=(event_loop const&) = delete;

    /// shutdown(): everything submitted finishes first. Inside one of its own tasks it cannot wait
    /// for itself; then the thread finishes the rest and goes by itself.
    ~event_loop();

    std::size_t worker_count() const { return 1; }
    executor_stats stats() const { return core_->stats(); }

    /// Blocks until nothing is pending or under way; the loop stays usable.
    /// Throws   would_deadlock on the loop's own thread.
    void wait_idle() { core_->wait_idle(); }

    /// No more submits. With .wait (the default) it returns when everything has finished and the
    /// thread is gone. With .cancel_pending, what has not started is cancelled, and suspended
    /// coroutines see task_cancelled. Coroutines that nothing can resume any more are reported on
    /// stderr and cancelled. May be repeated.
    /// Throws   would_deadlock on the loop's own thread, if it were to wait; then nothing is
    /// changed.
    void shutdown(shutdown_options how = {}) { core_->shut_down(how); }

    /// The door to Asio: make sockets and timers with this. They belong to the loop's thread.
    boost::asio::io_context& context() noexcept { return core_->context(); }

    /// Who awaits whom: each task, each of its coroutines, and what the innermost waits for.
    ///
    /// os       anything that takes a std::string with <<.
    /// Blocks   until the loop's thread has its turn, a second at most; then it says that the
    ///          loop is busy.
    template <class Stream>
    void dump_tasks(Stream& os) {
        os << core_->describe();
    }

private:
    friend class detail::executor_verbs<event_loop>;
    friend struct detail::loop_front_door;
    struct no_thread {};
    event_loop(no_thread, event_loop_options&& options)
        : core_(new detail::loop_core(
              {std::move(options.name), std::move(options.on_error), options.max_pending})) {}
    detail::loop_core& core() noexcept { return *core_; }

    detail::loop_core* core_;
};

/// Runs f(args...), or f(loop, args...), a coroutine function or a plain one, on a loop of the
/// calling thread, and gives what it returns, or throws what it throws: the front door of a program
/// that is a coroutine. Tasks that it leaves behind on the loop are cancelled and waited for; what
/// they throw goes to on_error.
///
/// Throws   would_deadlock inside of another loop.
template <class F, class... Args>
    requires(!std::same_as<std::remove_cvref_t<F>, event_loop_options>)
auto run(F&& f, Args&&... args);
template <class F, class... Args>
auto run(event_loop_options options, F&& f, Args&&... args);

// ---- implementation

inline event_loop::event_loop(event_loop_options options)
    : core_(new detail::loop_core(
          {std::move(options.name), std::move(options.on_error), options.max_pending})) {
    try {
        core_->start_thread();
    } catch (...) {
        core_->release();
        throw;
    }
}

inline event_loop::~event_loop() {
    if (core_->inert()) return;  // a child of fork(): the thread is not there
    if (core_->here()) {
        core_->shut_down({.wait = false, .cancel_pending = false});
        core_->abandon_thread();
    } else {
        core_->shut_down({});
    }
    core_->release();
}

namespace detail {

struct loop_front_door {
    template <class F, class... Args>
    static auto run(event_loop_options&& options, F&& f, Args&&... args) {
        if (this_loop) {
            throw would_deadlock(
                "run(): this thread runs an event_loop already; co_await the task instead");
        }
        event_loop loop(event_loop::no_thread{}, std::move(options));
        auto main = submit(loop, std::forward<F>(f), std::forward<Args>(args)...);
        main.add_done_callback(
            [&loop] { loop.core_->shut_down({.wait = false, .cancel_pending = true}); });
        loop.core_->run();
        return main.get();
    }

private:
    template <class F, class... Args>
    static auto submit(event_loop& loop, F&& f, Args&&... args) {
        if constexpr (std::is_invocable_v<std::decay_t<F>, event_loop&, std::decay_t<Args>...>) {
            return loop.submit(std::forward<F>(f), std::ref(loop), std::forward<Args>(args)...);
        } else {
            return loop.submit(std::forward<F>(f), std::forward<Args>(args)...);
        }
    }
};

}  // namespace detail

template <class F, class... Args>
    requires(!std::same_as<std::remove_cvref_t<F>, event_loop_options>)
auto run(F&& f, Args&&... args) {
    return detail::loop_front_door::run({}, std::forward<F>(f), std::forward<Args>(args)...);
}
template <class F, class... Args>
auto run(event_loop_options options, F&& f, Args&&... args) {
    return detail::loop_front_door::run(std::move(options), std::forward<F>(f),
                                        std::forward<Args>(args)...);
}

}  // namespace concur::inline v0

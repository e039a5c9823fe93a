// SPDX-License-Identifier: BSL-1.0
// serial_executor: runs each task at once, on the thread that submits it. For debugging, as the
// baseline of measurements, and as the executor to read first: this is all that one has to bring.
// Every member may be called from any thread; tasks of several threads take turns.
#pragma once

#include <mutex>
#include <utility>

#include <concur/detail/task/handler.hpp>
#include <concur/detail/verbs/verbs.hpp>
#include <concur/executor.hpp>

namespace concur::inline v0 {

struct serial_options {
    std::string name = {};
    /// Gets what post()ed tasks and callbacks throw; default: a line on stderr.
    detail::handler<std::exception_ptr> on_error = {};
};

namespace detail {

/// One worker: whoever submits. The lock is its place; a task that submits has it already.
class serial_core final : public executor_core {
public:
    static constexpr bool runs_in_submit = true;

    explicit serial_core(handler<std::exception_ptr> on_error)
        : executor_core(std::move(on_error)) {}

    void admit(bool) override {
        if (inert()) throw broken_executor("this executor was made before a fork()");
        if (shut_.load()) throw executor_shut_down();
    }
    void admit_internal(bool) override { admit(false); }
    void require_open() override { admit(false); }

    void enqueue(state& task) noexcept override {
        std::lock_guard const turn(place_);
        worker_context place{this, 0, &counts_, this_worker_context};
        scoped_context const scope(this_worker_context, place);
        if (!task.claim(0)) return task.release();
        tally::add(counts_.started, task.ops->tasks);
        task.ops->run(task);
    }

    void count_unrun(std::size_t tasks, unrun how) noexcept override {
        std::lock_guard const turn(place_);
        tally::add(counts_.started, tasks);
        tally::add(how == unrun::failed ? counts_.failed : counts_.cancelled, tasks);
    }
    void leave_queue() noexcept override {}
    void retire_unrun() noexcept override {}
    void retain() noexcept override {}
    void release() noexcept override {}
    // Tasks start inside submit, so there is never one to help with, or to wait for its inputs.
    bool help(state&) override { return false; }
    void begin_wait(wait_place&) override {}
    void end_wait(wait_place&) noexcept override {}
    void add_dependent(dependent_link&) override {}
    void remove_dependent(dependent_link&) noexcept override {}

    void count_items(std::size_t) noexcept override {}
    void count_unrun_items(std::size_t n) noexcept override { unrun_items_.fetch_add(n); }
    std::size_t workers() const noexcept override { return 1; }
    std::size_t chunks_in_flight() const noexcept override { return 1; }
    bool lend_place(worker_context& place) noexcept override {
        place_.lock();
        place = {this, 0, &counts_, nullptr};
        return true;
    }
    void return_place(worker_context&) noexcept override { place_.unlock(); }

    executor_stats stats() const noexcept {
        auto const read = [](std::atomic<std::uint64_t> const& counter) {
            return counter.load(std::memory_order_acquire);  // [tally] with the worker
        };
        executor_stats s;
        s.workers = 1;
        s.completed = read(counts_.completed);
        s.failed = read(counts_.failed);
        s.cancelled = read(counts_.cancelled) + unrun_items_.load();
        s.running = static_cast<std::size_t>(read(counts_.started) - s.completed - s.failed -
                                             read(counts_.cancelled));
        s.submitted = s.running + s.completed + s.failed + s.cancelled;
        return s;
    }

    void wait_idle() {
        if (inert()) return admit(false);
        must_not_be_inside("wait_idle()");
        std::lock_guard const turn(place_);
    }
    void shut_down(shutdown_options how) {
        if (inert()) return;
        if (how.wait) must_not_be_inside("shutdown()");
        shut_.store(true);
        if (how.wait) std::lock_guard const turn(place_);
    }
    bool inert() const noexcept override { return forked_since(generation_); }

private:
    void must_not_be_inside(char const* verb) const {
        if (!place_in(*this)) return;
        throw would_deadlock(
            text("%s inside a task of the same executor would wait for that very task", verb));
    }

    std::recursive_mutex place_;
    tally counts_;
    std::atomic<std::uint64_t> unrun_items_{0};
    std::atomic<bool> shut_{false};
    std::uint32_t const generation_ = fork_generation();
};

}  // namespace detail

/// Runs each task inside submit(), which waits for futures among the arguments first. It has one
/// worker, so its tasks never run at the same time, whoever submits them.
class serial_executor : public detail::executor_verbs<serial_executor> {
public:
    explicit serial_executor(serial_options options = {}) : core_(std::move(options.on_error)) {}
    serial_executor(serial_executor const&) = delete;
    serial_executor& operator=(serial_executor const&) = delete;

    std::size_t worker_count() const { return 1; }
    executor_stats stats() const { return core_.stats(); }
    /// Blocks while another thread's task runs. Throws would_deadlock inside an own task.
    void wait_idle() { core_.wait_idle(); }
    /// No more submits. Throws would_deadlock inside an own task, if it were to wait.
    void shutdown(shutdown_options how = {}) { core_.shut_down(how); }

private:
    friend class detail::executor_verbs<serial_executor>;
    detail::serial_core& core() noexcept { return core_; }

    detail::serial_core core_;
};

}  // namespace concur::inline v0

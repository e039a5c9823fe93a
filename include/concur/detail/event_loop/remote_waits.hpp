// SPDX-License-Identifier: BSL-1.0
// The executors of other processes whose tasks a loop's coroutines await. The loop's thread reads
// their replies itself: it looks for a moment, then sleeps in Asio on what their workers signal.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_descriptor.hpp>

#include <array>
#include <optional>

#include <concur/detail/base/cpus.hpp>
#include <concur/detail/base/linux_ipc.hpp>
#include <concur/detail/task/remote_core.hpp>

namespace concur::inline v0::detail {

// Protocol [remote waits] - all of it on the loop's thread.
//
//   entries   executors that a suspended coroutine awaits: how often, and a reference
//   until     the moment is over: until then the loop looks at their replies instead of sleeping
//   listens   the loop is about to sleep, or does, and a reply wakes it by the event. If not: the
//             executor's own thread was told, after the last wait began, that somebody waits
//
// Invariant  while the loop is awake, it reads what has come once a turn. While it sleeps, each
//            reply is read by somebody: it listens, and looked once more after it had said so
//            [doorbell]; or the executor's own thread reads (after the callback that it may be in),
//            or who took the bell away [lead], and wakes the loop as any other thread does [loop].
// Others     that wait for the same executor never wait for the loop, which may be in a long
//            coroutine: they read themselves, or take the bell away [lead].
// Death      of a worker, or of what the task needs: the executor's own thread finds out, whoever
//            reads. The executor ends while it is awaited: its tasks are decided before it goes,
//            and the reference keeps it callable until the coroutine is resumed.
class remote_waits {
public:
    remote_waits() = default;
    remote_waits(remote_waits const&) = delete;
    remote_waits& operator=(remote_waits const&) = delete;
    ~remote_waits() = default;  // no coroutine waits any more, so nothing is in it

    /// Of a task that is not done. Null: it is done, or others see to it.
    remote_core* add(state& task) noexcept {
        held_core const core(task);
        if (!core) return nullptr;
        auto* const place = find(core.get());
        if (!place) {
            core->attend();
            return nullptr;
        }
        if (spare_cpus()) until_ = steady_clock::now() + worth;
        if (place->waits++ == 0) {
            place->core = core.get();
            place->core->retain();
            ++used_;
        }
        return place->core;
    }
    void remove(remote_core* core) noexcept {
        auto* const place = find(core);
        if (--place->waits != 0) return;
        stop_listening(*place);
        place->event.reset();  // drops what is armed
        place->armed = place->woken = false;
        std::exchange(place->core, nullptr)->release();
        --used_;
    }

    bool any() const noexcept { return used_ != 0; }
    /// Sleeping would cost more than what is likely to come soon.
    bool moment_lasts() const noexcept { return any() && steady_clock::now() < until_; }

    /// Reads what replies have come. True: something was completed.
    bool look() noexcept {
        bool any = false;
        for (auto const& e : entries_) any = (e.core && e.core->progress_briefly()) || any;
        return any;
    }

    /// The loop's thread is about to sleep in Asio. It may find that something was completed.
    void listen(boost::asio::io_context& io) noexcept {
        if (!any()) return;
        for (auto& e : entries_) {
            if (!e.core) continue;
            stop_listening(e);  // inside a handler of a sleep that is under way
            // Not armed before: if nobody listens, then nobody takes the event back.
            e.listens = e.core->listen(this);
            if (!e.listens) continue;
            arm(e, io);
            if (e.armed) continue;
            stop_listening(e);
            e.core->attend();
        }
    }
    /// It does not sleep any more.
    void stop_listening() noexcept {
        if (!any()) return;
        for (auto& e : entries_) stop_listening(e);
    }

private:
    using io_executor = boost::asio::io_context::executor_type;
    struct event : boost::asio::posix::basic_descriptor<io_executor> {
        using basic_descriptor::basic_descriptor;
    };
    struct entry {
        remote_core* core = nullptr;
        std::size_t waits = 0;
        bool listens = false;
        bool armed = false;  // Asio waits for the event
        bool woken = false;  // it was readable, and nobody has taken it back
        std::optional<remote_waits::event> event;
    };
    // About as long as a wake-up takes, as in wait_for() of a process pool.
    static constexpr auto worth = std::chrono::microseconds(30);
    static bool spare_cpus() noexcept {
        static bool const spare = usable_cpus() > 1;
        return spare;
    }

    /// Armed afterwards, unless the event cannot be had: then the executor's own thread has to do.
    static void arm(entry& e, boost::asio::io_context& io) noexcept {
        if (e.armed) return;
        try {
            if (!e.event) {
                unique_fd ours(fcntl(e.core->reply_event(), F_DUPFD_CLOEXEC, 0));
                if (!ours) return;
                e.event.emplace(io, ours.get());
                ours.release();
            }
            e.event->async_wait(event::wait_read,
                                [&e, &io](boost::system::error_code const& problem) {
                                    if (problem) return;  // dropped, with the last wait or the loop
                                    e.armed = false;
                                    e.woken = true;
                                    io.stop();  // the loop has to look
                                });
            e.armed = true;
        } catch (std::exception const&) {
            e.event.reset();
        }
    }
    void stop_listening(entry& e) noexcept {
        if (!std::exchange(e.listens, false)) return;
        e.core->stop_listening(this, std::exchange(e.woken, false));
    }

    /// Its entry, or a free one; null: there is none.
    entry* find(remote_core* core) noexcept {
        entry* found = nullptr;
        for (auto& e : entries_) {
            if (e.core == core) return &e;
            if (!e.core) found = &e;
        }
        return found;
    }

    // More executors at once are served by their own threads.
    std::array<entry, 4> entries_{};
    std::size_t used_ = 0;
    time_point until_{};
};

}  // namespace concur::inline v0::detail

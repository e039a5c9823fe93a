// SPDX-License-Identifier: BSL-1.0
// Where the calling thread is: in which worker of which executor, and in which task. Two
// thread-local pointers to objects on the runner's stack; reading them costs an instruction each.
#pragma once

#include <atomic>
#include <optional>
#include <string>

#include <concur/detail/base/config.hpp>

namespace concur::inline v0::detail {

class executor_core;
class state;
struct stop_hooks;

/// Counters that one thread writes and any thread reads.
// Protocol [tally]
// Order      written with plain stores by the worker that holds the place; a reader that has seen a
//            task done (or the executor idle) sees its counts: they are stored before the phase is
//            published, `retired` after it.
struct tally {
    std::atomic<std::uint64_t> started{0};
    std::atomic<std::uint64_t> completed{0};
    std::atomic<std::uint64_t> failed{0};
    std::atomic<std::uint64_t> cancelled{0};
    std::atomic<std::uint64_t> retired{0};  // jobs, not tasks: what wait_idle() counts

    static void add(std::atomic<std::uint64_t>& counter, std::uint64_t n) noexcept {
        counter.store(counter.load(std::memory_order_relaxed) + n,  // [tally] one writer
                      std::memory_order_release);                   // [tally] with the readers
    }
};

/// A place among the workers of an executor, held by the calling thread.
struct worker_context {
    executor_core* core;
    std::size_t index;
    tally* counts;
    worker_context* outer;  // a task of one executor may use another one
};

/// The position of an item in its map. A type of its own, so that the compiler knows that user data
/// cannot alias it: then the one store per item does not keep a loop from being vectorised.
enum class item_position : std::uint64_t {};

/// The task, or the item of a map, that the calling thread runs.
struct task_context {
    state* task;                        // asked to stop through this
    bool linked;                        // and through that of `outer`: an item and its chunk
    std::optional<std::uint64_t> seed;  // the option; the item's position is mixed in on demand
    item_position position;
    int attempt;              // from 1
    std::string const* name;  // null: none
    stop_hooks* hooks;        // made when it asks for a stop_token
    task_context* outer;

    // Of a task in a worker process: asked to stop when *stop_word is stop_value; and what lets a
    // std::stop_token know of that.
    std::atomic<std::uint64_t> const* stop_word = nullptr;
    std::uint64_t stop_value = 0;
    void (*wants_token)(void* giver) = nullptr;
    void* token_giver = nullptr;
};

CONCUR_API inline constinit thread_local worker_context* this_worker_context = nullptr;
CONCUR_API inline constinit thread_local task_context* this_task_context = nullptr;

/// Sets a thread-local pointer for a scope.
template <class T>
class scoped_context {
public:
    scoped_context(T*& slot, T& value) noexcept : slot_(slot), before_(slot) { slot_ = &value; }
    scoped_context(scoped_context const&) = delete;
    scoped_context& operator=(scoped_context const&) = delete;
    ~scoped_context() { slot_ = before_; }

private:
    T*& slot_;
    T* before_;
};

}  // namespace concur::inline v0::detail

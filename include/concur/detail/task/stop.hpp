// SPDX-License-Identifier: BSL-1.0
// How a running task learns that it should stop: a bit in its state that costs nothing to offer,
// and a std::stop_source for the tasks that ask for a token. Any thread.
#pragma once

#include <mutex>
#include <stop_token>
#include <utility>

#include <concur/detail/task/context.hpp>
#include <concur/detail/task/state.hpp>

namespace concur::inline v0::detail {

// Protocol [stop]
//
//   asker   sets stop_asked; if it finds stop_watched, asks the sources in the registry
//   task    enters its source in the registry, sets stop_watched; if it finds stop_asked, asks
//           its source itself
//
// Invariant  both set their bit with one read-modify-write of the same word, so at least one of
//            them sees the other's: no request is lost. Asking twice does no harm.
// Locks      a shard's lock is never held while stop callbacks run: they are foreign code.
class stop_registry {
public:
    /// A stop_source in the registry, under one state.
    struct hook {
        state* task = nullptr;
        std::stop_source source{std::nostopstate};
        hook* next = nullptr;
    };

    static void enter(hook& entry) {
        auto& s = shard_of(*entry.task);
        {
            std::lock_guard const lock(s.mutex);
            entry.next = std::exchange(s.first, &entry);
        }
        auto const before = entry.task->word.fetch_or(
            stop_watched, std::memory_order_acq_rel);  // [stop] with ask()
        if (before & stop_asked) entry.source.request_stop();
    }

    static void leave(hook& entry) noexcept {
        auto& s = shard_of(*entry.task);
        std::lock_guard const lock(s.mutex);
        auto** place = &s.first;
        while (*place != &entry) place = &(*place)->next;
        *place = entry.next;
    }

    /// Asks a task that has started. The caller holds a reference.
    static void ask(state& task) {
        auto const before =
            task.word.fetch_or(stop_asked, std::memory_order_acq_rel);  // [stop] with enter()
        if (before & stop_watched) ask_sources(task);
        if (task.ops->asked && !(before & stop_asked)) task.ops->asked(task);
    }

    static void ask_sources(state& task) {
        for (;;) {
            auto source = unasked_source(task);
            if (!source.stop_possible()) return;
            source.request_stop();
        }
    }

private:
    struct alignas(cache_line) shard {
        std::mutex mutex;
        hook* first = nullptr;
    };

    static std::stop_source unasked_source(state& task) noexcept {
        auto& s = shard_of(task);
        std::lock_guard const lock(s.mutex);
        for (auto* entry = s.first; entry; entry = entry->next) {
            if (entry->task == &task && !entry->source.stop_requested()) return entry->source;
        }
        return std::stop_source(std::nostopstate);
    }

    static shard& shard_of(state& task) {
        constexpr std::size_t shards = 16;
        // Leaked on purpose: tasks may outlive static destructors.
        static auto* const all = new shard[shards];
        return all[reinterpret_cast<std::uintptr_t>(&task) / cache_line % shards];
    }
};

/// What a task that asks for a stop_token gets: its source, entered under the task, and for an item
/// of a chunk under the chunk too.
struct stop_hooks {
    stop_registry::hook own;
    stop_registry::hook outer;
};

/// The task, or item, is over: what comes next gets a stop_source of its own.
inline void forget_source(task_context& context) noexcept {
    stop_hooks* const hooks = std::exchange(context.hooks, nullptr);
    stop_registry::leave(hooks->own);
    if (hooks->outer.task) stop_registry::leave(hooks->outer);
    delete hooks;
}

/// The calling thread runs a task, or an item of one, for the length of this scope.
class task_scope {
public:
    explicit task_scope(state& task, std::optional<std::uint64_t> seed = {},
                        std::string const* name = nullptr, bool linked = false) noexcept
        : context_{&task, linked, seed, {}, 1, name, nullptr, this_task_context} {
        this_task_context = &context_;
    }
    task_scope(task_scope const&) = delete;
    task_scope& operator=(task_scope const&) = delete;
    ~task_scope() {
        this_task_context = context_.outer;
        if (context_.hooks) forget_source(context_);
    }

    task_context& context() noexcept { return context_; }

private:
    task_context context_;
};

inline std::stop_token current_stop_token() {
    task_context* const context = this_task_context;
    if (!context) return {};
    if (!context->hooks) {
        auto* const hooks = new stop_hooks;
        hooks->own.task = context->task;
        hooks->own.source = std::stop_source();
        context->hooks = hooks;
        stop_registry::enter(hooks->own);
        if (context->wants_token) context->wants_token(context->token_giver);
        if (context->linked) {
            hooks->outer.task = context->outer->task;
            hooks->outer.source = hooks->own.source;
            stop_registry::enter(hooks->outer);
        }
    }
    return context->hooks->own.source.get_token();
}

inline bool current_stop_requested() noexcept {
    task_context const* const context = this_task_context;
    if (!context) return false;
    bool const asked = (context->task->look() & stop_asked) ||
                       (context->stop_word && context->stop_word->load() == context->stop_value) ||
                       (context->linked && (context->outer->task->look() & stop_asked));
    // Whoever asked may not have got to the source yet; a token says the same as this function.
    if (asked && context->hooks) context->hooks->own.source.request_stop();
    return asked;
}

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// How a running task learns that it should stop: a bit in its state that costs nothing to offer,
// and a std::stop_source for the tasks that ask for a token. Any thread.
#pragma once

#include <array>
#include <mutex>
#include <stop_token>
#include <utility>
#include <vector>

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
    static void enter(state& task, std::stop_source const& source) {
        auto& shard = shard_of(task);
        {
            std::lock_guard const lock(shard.mutex);
            shard.entries.emplace_back(&task, source);
        }
        auto const before =
            task.word.fetch_or(stop_watched, std::memory_order_acq_rel);  // [stop] with ask()
        if (before & stop_asked) {
            auto copy = source;
            copy.request_stop();
        }
    }

    static void leave(state& task, std::stop_source const& source) noexcept {
        auto& shard = shard_of(task);
        std::lock_guard const lock(shard.mutex);
        for (auto& entry : shard.entries) {
            if (entry.first == &task && entry.second == source) {
                std::swap(entry, shard.entries.back());
                shard.entries.pop_back();
                return;
            }
        }
    }

    /// Asks a task that has started. The caller holds a reference.
    static void ask(state& task) {
        auto const before =
            task.word.fetch_or(stop_asked, std::memory_order_acq_rel);  // [stop] with enter()
        if (before & stop_watched) ask_sources(task);
    }

    static void ask_sources(state& task) {
        std::vector<std::stop_source> found;
        auto& shard = shard_of(task);
        {
            std::lock_guard const lock(shard.mutex);
            for (auto& entry : shard.entries) {
                if (entry.first == &task) found.push_back(entry.second);
            }
        }
        for (auto& source : found) source.request_stop();
    }

private:
    struct alignas(cache_line) shard {
        std::mutex mutex;
        std::vector<std::pair<state*, std::stop_source>> entries;
    };

    static shard& shard_of(state& task) {
        // Leaked on purpose: tasks may outlive static destructors.
        static auto* const shards = new std::array<shard, 16>;
        return (*shards)[(reinterpret_cast<std::uintptr_t>(&task) / cache_line) % shards->size()];
    }
};

/// Calls `visit` with every state through which the task may be asked to stop.
template <class Visit>
void each_stop_point(task_context const& context, Visit&& visit) {
    for (auto const* place = &context; place; place = place->outer) {
        visit(*place->task);
        if (!place->linked) return;
    }
}

/// The task, or item, is over: what comes next gets a stop_source of its own.
inline void forget_source(task_context& context) noexcept {
    each_stop_point(context,
                    [&](state& task) { stop_registry::leave(task, *context.source); });
    delete context.source;
    context.source = nullptr;
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
        if (context_.source) forget_source(context_);
    }

    task_context& context() noexcept { return context_; }

private:
    task_context context_;
};

inline std::stop_token current_stop_token() {
    task_context* const context = this_task_context;
    if (!context) return {};
    if (!context->source) {
        // From here on the scope leaves the registry, also when entering it fails half-way.
        context->source = new std::stop_source;
        each_stop_point(
            *context, [&](state& task) { stop_registry::enter(task, *context->source); });
    }
    return context->source->get_token();
}

inline bool current_stop_requested() noexcept {
    task_context const* const context = this_task_context;
    if (!context) return false;
    bool asked = context->source && context->source->stop_requested();
    each_stop_point(*context,
                    [&](state& task) { asked = asked || (task.look() & stop_asked); });
    return asked;
}

}  // namespace concur::inline v0::detail

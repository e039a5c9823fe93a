// SPDX-License-Identifier: BSL-1.0
// A map of coroutine functions: each item is a coroutine of its own, and many are under way at
// once.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include <concur/detail/event_loop/combine.hpp>
#include <concur/detail/event_loop/submit.hpp>
#include <concur/detail/verbs/map_run.hpp>
#include <concur/detail/verbs/verbs.hpp>

namespace concur::inline v0::detail {

template <class R>
class coroutine_map_stream : public map_stream<R> {
protected:
    using typename map_stream<R>::chunk;
    using ran_item = task<R>;
    static constexpr bool collects_by_loop = false;
    // A coroutine that waits costs a few hundred bytes and no thread.
    static constexpr std::size_t coroutines_in_flight = 1024;

    coroutine_map_stream(executor_core& core, map_options options)
        : map_stream<R>(core, one_each(std::move(options)), coroutines_in_flight) {}

    virtual ran_item run_item(chunk& part, std::size_t i) = 0;
    template <class Call>
    ran_item run_call(Call&& call) {
        return to_task(std::forward<Call>(call)());
    }

private:
    struct item_call {
        static constexpr std::size_t tasks = 0;
        item_call(coroutine_map_stream& m, chunk& c) : map(m), part(c), core(m.core()) {}
        item_call(item_call const&) = delete;
        item_call& operator=(item_call const&) = delete;
        ~item_call() {
            if (!ran) core.count_unrun_items(1);
        }
        task<void> begin() { return map.run_one(*this); }
        friend task<void> coroutine_of(item_call& c) { return c.begin(); }
        coroutine_map_stream& map;
        chunk& part;
        executor_core& core;
        bool ran = false;
    };
    using item_job = coroutine_job<item_call, void, void, true>;

    static map_options one_each(map_options&& options) {
        options.chunk_size = 1;
        return std::move(options);
    }

    state& make_job(chunk& part) override {
        return item_job::make(&this->core(), 0, 2, [&] { return item_call(*this, part); });
    }

    /// On the loop's own thread, where blocking would be for ever, the loop goes on meanwhile.
    void wait_for(state& job) noexcept override {
        auto& loop = static_cast<loop_core&>(this->core());
        if (!loop.here()) return wait_ended(job);
        loop.run_until([&] { return job.done(); });
    }

    task<void> run_one(item_call& call) {
        auto& loop = static_cast<loop_core&>(this->core());
        auto& counts = loop.counts();
        chunk& part = call.part;
        loop.running->root->position = this_task_context->position = item_position{part.first};
        call.ran = true;
        tally::add(counts.started, 1);
        bool completed = true;
        try {
            auto coroutine = run_item(part, 0);
            if (auto const& limit = this->options().timeout) {
                coroutine =
                    limited_task(*limit, std::move(coroutine), text("item %zu", part.first));
            }
            if constexpr (std::is_void_v<R>) {
                co_await std::move(coroutine);
                part.slots->put(0, outcome<void>());
            } else {
                part.slots->put(0, outcome<R>(co_await std::move(coroutine)));
            }
        } catch (...) {
            completed = false;
            part.slots->put(0, outcome<R>(std::current_exception()));
        }
        tally::add(completed ? counts.completed : counts.failed, 1);
        part.ready.store(1);
        this->reader().item_ready();
    }
};

template <class T>
struct map_rules<loop_core, task<T>> {
    static constexpr bool coroutines = true;
    using value_type = T;
    template <class F, class Source>
    using run = map_run<T, F, Source, coroutine_map_stream<T>>;
};
template <class T, class Executor>
struct map_rules<loop_core, boost::asio::awaitable<T, Executor>> : map_rules<loop_core, task<T>> {};

}  // namespace concur::inline v0::detail

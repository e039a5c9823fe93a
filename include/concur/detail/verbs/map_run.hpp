// SPDX-License-Identifier: BSL-1.0
// The map of a certain function over certain ranges: reads the inputs and runs the items for a
// map_stream.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <concur/detail/verbs/map_stream.hpp>
#include <concur/detail/verbs/source.hpp>

namespace concur::inline v0::detail {

/// A map of plain functions: a worker runs a chunk item by item.
template <class R>
class plain_map_stream : public map_stream<R> {
protected:
    using typename map_stream<R>::chunk;
    using ran_item = outcome<R>;
    static constexpr bool collects_by_loop = true;

    plain_map_stream(executor_core& core, map_options options)
        : map_stream<R>(core, std::move(options), core.chunks_in_flight()) {}

    /// The worker's.
    virtual ran_item run_item(chunk& part, std::size_t i) = 0;
    template <class Call>
    ran_item run_call(Call&& call) {
        return outcome_of<R>(this->options().timeout, std::forward<Call>(call));
    }

private:
    struct chunk_call {
        static constexpr std::size_t tasks = 0;
        chunk_call(plain_map_stream& m, chunk& c)
            : map(m), part(c), core(m.core()), unrun(c.size) {}
        chunk_call(chunk_call const&) = delete;
        chunk_call& operator=(chunk_call const&) = delete;
        // Cancelled as a whole, or asked to stop on the way; map and chunk may be gone already.
        ~chunk_call() {
            if (unrun != 0) core.count_unrun_items(unrun);
        }
        void operator()() && { unrun -= map.work(part); }
        plain_map_stream& map;
        chunk& part;
        executor_core& core;
        std::size_t unrun;
    };
    using chunk_job = job<chunk_call, void, true>;

    state& make_job(chunk& part) override {
        return chunk_job::make(&this->core(), 0, 2, [&] { return chunk_call(*this, part); });
    }
    std::size_t work(chunk& part);
};

/// The map of a function over an indexed_source or a streamed_source. `Stream`: how it is run.
template <class R, class F, class Source, class Stream = plain_map_stream<R>>
class map_run;

template <class R, class F, class... Ranges, class Stream>
class map_run<R, F, indexed_source<Ranges...>, Stream> final : public Stream {
    using typename Stream::chunk;

public:
    template <class... From>
    map_run(executor_core& core, map_options options, F f, std::in_place_t, From&&... ranges)
        : Stream(core, std::move(options)),
          f_(std::move(f)),
          source_(std::forward<From>(ranges)...) {
        this->start();
    }
    ~map_run() override { this->stop(); }

private:
    std::unique_ptr<chunk> read_inputs(std::size_t n) override {
        auto const left = source_.size() - this->issued();
        if (left <= n) this->end_input();
        n = std::min(n, left);
        return n != 0 ? std::make_unique<chunk>(this->reader(), this->issued(), n) : nullptr;
    }
    typename Stream::ran_item run_item(chunk& part, std::size_t i) override {
        return this->run_call(
            [&]() -> decltype(auto) { return source_.positions().call_at(f_, part.first + i); });
    }
    std::optional<std::size_t> length() const noexcept override {
        return Stream::collects_by_loop ? std::optional(source_.size()) : std::nullopt;
    }
    void run_rest(loop_options const& options, result_buffer<stored_t<R>>& values) override;

    F const f_;
    indexed_source<Ranges...> source_;
};

template <class R, class F, template <class> class Cell, class... Ranges, class Stream>
class map_run<R, F, streamed_source<Cell, Ranges...>, Stream> final : public Stream {
    using source_type = streamed_source<Cell, Ranges...>;
    using typename Stream::chunk;
    using items = std::vector<typename source_type::item>;

public:
    template <class... From>
    map_run(executor_core& core, map_options options, F f, std::in_place_t, From&&... ranges)
        : Stream(core, std::move(options)),
          f_(std::move(f)),
          source_(std::forward<From>(ranges)...) {
        this->start();
    }
    ~map_run() override { this->stop(); }

private:
    struct carrying_chunk final : chunk {
        carrying_chunk(map_reader& reader, std::size_t from, items inputs)
            : chunk(reader, from, inputs.size()), carried(std::move(inputs)) {}
        items carried;
    };

    std::unique_ptr<chunk> read_inputs(std::size_t n) override {
        items read;
        auto const keep = [&](auto&&... cell) {
            read.emplace_back(std::forward<decltype(cell)>(cell)...);
        };
        try {
            while (read.size() < n && source_.read(keep)) {
            }
            if (read.size() < n) this->end_input();
        } catch (...) {
            this->end_at(this->issued() + read.size(), std::current_exception());
        }
        if (read.empty()) return nullptr;
        return std::make_unique<carrying_chunk>(this->reader(), this->issued(), std::move(read));
    }
    typename Stream::ran_item run_item(chunk& part, std::size_t i) override {
        return this->run_call([&]() -> decltype(auto) {
            return source_type::call_with(f_, static_cast<carrying_chunk&>(part).carried[i]);
        });
    }

    F const f_;
    source_type source_;
};

template <class R, class F, class... Ranges, class Stream>
void map_run<R, F, indexed_source<Ranges...>, Stream>::run_rest(
    loop_options const& options, result_buffer<stored_t<R>>& values) {
    if constexpr (Stream::collects_by_loop) {
        run_loop(this->core(), source_.size(), options,
                 [read = source_.positions(), f = function_handle(f_),
                  to = values.writer()](std::size_t position) {
                     if constexpr (std::is_void_v<R>) {
                         read.call_at(f.get(), position);
                     } else {
                         to.put(position, read.call_at(f.get(), position));
                     }
                 });
    }
}

// ---- implementation: the workers

/// Runs the items of a chunk until it is asked to stop; how many have run.
template <class R>
std::size_t plain_map_stream<R>::work(chunk& part) {
    auto& counts = *this_worker_context->counts;
    auto& context = *this_task_context;
    auto const began = steady_clock::now();
    std::size_t i = 0;
    for (; i < part.size && !(context.task->look() & stop_asked); ++i) {
        context.position = item_position{part.first + i};
        context.attempt = 1;
        tally::add(counts.started, 1);
        auto result = run_item(part, i);
        bool const completed = result.has_value();
        part.slots->put(i, std::move(result));
        tally::add(completed ? counts.completed : counts.failed, 1);
        if (context.hooks) forget_source(context);
        if (i + 1 == part.size) this->tuner().measured(part.size, steady_clock::now() - began);
        chaos_point();
        part.ready.store(i + 1);
        this->reader().item_ready();
    }
    return i;
}

}  // namespace concur::inline v0::detail

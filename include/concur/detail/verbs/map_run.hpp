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

/// The map of a function over an indexed_source or a streamed_source.
template <class R, class F, class Source>
class map_run;

template <class R, class F, class... Ranges>
class map_run<R, F, indexed_source<Ranges...>> final : public map_stream<R> {
    using typename map_stream<R>::chunk;

public:
    template <class... From>
    map_run(executor_core& core, map_options options, F f, std::in_place_t, From&&... ranges)
        : map_stream<R>(core, std::move(options)),
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
    outcome<R> run_item(chunk& part, std::size_t i) override {
        return outcome_of<R>(this->options().timeout, [&]() -> decltype(auto) {
            return source_.positions().call_at(f_, part.first + i);
        });
    }
    std::optional<std::size_t> length() const noexcept override { return source_.size(); }
    void run_rest(loop_options const& options, result_buffer<stored_t<R>>& values) override;

    F const f_;
    indexed_source<Ranges...> source_;
};

template <class R, class F, template <class> class Cell, class... Ranges>
class map_run<R, F, streamed_source<Cell, Ranges...>> final : public map_stream<R> {
    using source_type = streamed_source<Cell, Ranges...>;
    using typename map_stream<R>::chunk;
    using items = std::vector<typename source_type::item>;

public:
    template <class... From>
    map_run(executor_core& core, map_options options, F f, std::in_place_t, From&&... ranges)
        : map_stream<R>(core, std::move(options)),
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
    outcome<R> run_item(chunk& part, std::size_t i) override {
        return outcome_of<R>(this->options().timeout, [&]() -> decltype(auto) {
            return source_type::call_with(f_, static_cast<carrying_chunk&>(part).carried[i]);
        });
    }

    F const f_;
    source_type source_;
};

template <class R, class F, class... Ranges>
void map_run<R, F, indexed_source<Ranges...>>::run_rest(loop_options const& options,
                                                        result_buffer<stored_t<R>>& values) {
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

}  // namespace concur::inline v0::detail

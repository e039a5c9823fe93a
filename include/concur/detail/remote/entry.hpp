// SPDX-License-Identifier: BSL-1.0
// What a worker process does with a call: decodes the function and its arguments, calls it, and
// encodes what it returns. One function per type of call, at the same place in the program on both
// sides. Executors bring the memory for the reply.
#pragma once

#include <new>
#include <tuple>
#include <utility>

#include <concur/detail/remote/exceptions.hpp>
#include <concur/detail/remote/results.hpp>
#include <concur/detail/remote/wire.hpp>
#include <concur/detail/verbs/submit.hpp>

namespace concur::inline v0::detail {

/// A call in the hands of a worker.
class incoming_call : public results_writer {
public:
    incoming_call(std::byte const* arguments, std::size_t bytes, call_header const* h,
                  std::atomic<std::uint64_t>& progress, std::uint64_t no_progress) noexcept
        : results_writer(progress, no_progress), header(h), arguments_(arguments), bytes_(bytes) {}

    read_pass arguments() const { return read_pass(arguments_, bytes_); }
    std::byte const* data() const noexcept { return arguments_; }
    std::size_t bytes() const noexcept { return bytes_; }

    /// Room for the reply, once; drops what was there before. Throws std::bad_alloc.
    virtual std::byte* reply_room(std::size_t bytes) = 0;

    /// An item of a chunk with a time limit is about to run.
    virtual void note_start() noexcept = 0;

    /// The function of a map, if this worker has decoded it before.
    virtual void* known_function() noexcept = 0;
    virtual std::byte const* function_bytes() const noexcept = 0;
    /// `borrowed`: the handles that were read with it.
    virtual void keep_function(void* function, void (*destroy)(void*) noexcept,
                               std::unique_ptr<borrow_list> borrowed) = 0;
    /// Is told of the handles to shared memory that come and go.
    virtual call_handles& handles() noexcept = 0;

    call_header const* const header;  ///< null: a plain call

protected:
    ~incoming_call() = default;

private:
    std::byte const* const arguments_;
    std::size_t const bytes_;
};

using call_entry = void (*)(incoming_call&);

template <class T>
std::size_t wire_size(T const& value) {
    if constexpr (fixed_wire_size<T> != 0) {
        return fixed_wire_size<T>;
    } else {
        size_pass size;
        size(value);
        return size.bytes();
    }
}

/// The entry of a submitted call. `Stored`: void when nobody wants the result.
template <class Stored, class F, class Values>
struct task_entry;
template <class Stored, class F, class... V>
struct task_entry<Stored, F, types<V...>> {
    using rules = call_rules<F, types<V...>>;

    static constexpr bool takes_no_handles = hold_no_handles<F, V...>;

    static void run(incoming_call& incoming) {
        receive_scope receiving(takes_no_handles ? this_thread_receiver : &incoming.handles());
        read_pass in = incoming.arguments();
        F f = read_callable<F>(in);
        std::tuple<V...> values{in.template get<V>()...};
        in.require_end();
        receiving.end();
        auto const invoke = [&](V&... value) -> decltype(auto) {
            if constexpr (rules::plain) {
                return call(std::move(f), std::move(value)...);
            } else {
                return call(std::move(f), current_stop_token(), std::move(value)...);
            }
        };
        if constexpr (std::is_void_v<Stored>) {
            static_cast<void>(std::apply(invoke, values));
        } else {
            Stored const result = std::apply(invoke, values);
            carry_scope const carrying(hold_no_handles<Stored> ? this_thread_carrier
                                                               : &incoming.handles());
            auto const bytes = wire_size(result);
            write_pass out(incoming.reply_room(bytes), bytes);
            out(result);
        }
    }
};

/// The entry of a chunk of a map: runs its items and appends their results one by one. `Items`: how
/// these travel.
template <class R, class F, class Items>
struct chunk_entry {
    static void run(incoming_call& incoming) {
        chunk_entry chunk(incoming);
        while (chunk.at_ != chunk.header_.items && !chunk.stop_asked_for()) {
            try {
                if constexpr (in_runs<R>) {
                    chunk.run_until_one_throws();
                } else {
                    chunk.run_one();
                }
                continue;
            } catch (...) {
                chunk.problem_ = std::current_exception();
            }
            chunk.append_problem();
        }
    }

private:
    explicit chunk_entry(incoming_call& incoming)
        : incoming_(incoming),
          f_(function(incoming)),
          header_(*incoming.header),
          context_(*this_task_context),
          item_(incoming.data(), incoming.bytes(), header_.items) {
        for (; at_ != header_.skip; ++at_) item_.next();
        context_.attempt = header_.attempt;
    }

    bool stop_asked_for() const noexcept {
        return context_.stop_word->load() == context_.stop_value;
    }
    void start_item() {
        context_.position = item_position{header_.first + at_};
        if (header_.timed) incoming_.note_start();
    }
    void end_item() {
        context_.attempt = 1;
        ++at_;
        item_.next();
    }

    typename Items::values take_values() {
        if constexpr (Items::hold_handles) {
            receive_scope const receiving(&incoming_.handles());
            return item_.get();
        } else {
            return item_.get();
        }
    }

    void run_until_one_throws() {
        results_run<run_step<R>, result_alignment<R>> run(incoming_, header_.items - at_);
        while (at_ != header_.items && !stop_asked_for()) {
            start_item();
            auto values = take_values();
            if constexpr (std::is_void_v<R>) {
                static_cast<void>(std::apply(invoke{f_}, values));
            } else {
                R const result = std::apply(invoke{f_}, values);
                write_pass out(run.room(), run_step<R>);
                out(result);
            }
            run.item_done();
            end_item();
        }
    }

    void run_one() {
        start_item();
        auto values = take_values();
        R const result = std::apply(invoke{f_}, values);
        carry_scope const carrying(&incoming_.handles());
        auto const bytes = wire_size(result);
        write_pass out(incoming_.append(reply_kind::value, bytes, result_alignment<R>), bytes);
        out(result);
        incoming_.item_done();
        end_item();
    }

    void append_problem() {
        auto const bytes = encode_exception(problem_);
        problem_ = nullptr;
        incoming_.rewind();
        std::memcpy(incoming_.append(reply_kind::exception, bytes.size(), exception_alignment),
                    bytes.data(), bytes.size());
        incoming_.item_done();
        end_item();
    }

    struct invoke {
        F const& f;
        template <class... V>
        decltype(auto) operator()(V&... values) const {
            return call_item(f, std::move(values)...);
        }
    };

    static F const& function(incoming_call& incoming) {
        if (void* const known = incoming.known_function()) return *static_cast<F*>(known);
        read_pass in(incoming.function_bytes(),
                     static_cast<std::size_t>(incoming.header->function_bytes));
        auto borrowed = std::make_unique<borrow_list>();
        receive_scope const receiving(borrowed.get());
        auto* const made = new F(read_callable<F>(in));
        incoming.keep_function(
            made, [](void* f) noexcept { delete static_cast<F*>(f); }, std::move(borrowed));
        return *made;
    }

    incoming_call& incoming_;
    F const& f_;
    call_header const header_;
    task_context& context_;
    typename Items::cursor item_;
    std::uint32_t at_ = 0;
    std::exception_ptr problem_;
};

}  // namespace concur::inline v0::detail

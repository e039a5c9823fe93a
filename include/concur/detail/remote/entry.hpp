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
        F const& f = function(incoming);
        call_header const header = *incoming.header;
        auto& context = *this_task_context;
        typename Items::cursor item(incoming.data(), incoming.bytes(), header.items);
        for (std::uint32_t i = 0; i != header.skip; ++i) item.next();
        context.attempt = header.attempt;
        for (auto i = header.skip; i != header.items; ++i) {
            if (current_stop_requested()) return;
            context.position = item_position{header.first + i};
            if (header.timed) incoming.note_start();
            run_item(incoming, f, item, header.items - i);
            incoming.item_done();
            context.attempt = 1;
            item.next();
        }
    }

private:
    using cursor = typename Items::cursor;

    static void run_item(incoming_call& incoming, F const& f, cursor const& item,
                         std::size_t left) {
        std::exception_ptr problem;
        try {
            if constexpr (Items::hold_handles) {
                receive_scope receiving(&incoming.handles());
                auto values = item.get();
                receiving.end();
                call_with(incoming, f, values, left);
            } else {
                auto values = item.get();
                call_with(incoming, f, values, left);
            }
            return;
        } catch (...) {
            problem = std::current_exception();
        }
        incoming.rewind();
        auto const bytes = encode_exception(problem);
        std::memcpy(incoming.append(reply_kind::exception, bytes.size(), exception_alignment),
                    bytes.data(), bytes.size());
    }

    /// `left`: how many items are likely to give a result yet.
    static void call_with(incoming_call& incoming, F const& f, typename Items::values& values,
                          std::size_t left) {
        auto const invoke = [&](auto&... value) -> decltype(auto) {
            return call_item(f, std::move(value)...);
        };
        if constexpr (std::is_void_v<R>) {
            static_cast<void>(std::apply(invoke, values));
            incoming.append_to_run(run_step<void>, result_alignment<void>, left);
        } else {
            R const result = std::apply(invoke, values);
            if constexpr (in_runs<R>) {
                write_pass out(incoming.append_to_run(run_step<R>, result_alignment<R>, left),
                               run_step<R>);
                out(result);
            } else {
                carry_scope const carrying(&incoming.handles());
                auto const bytes = wire_size(result);
                write_pass out(incoming.append(reply_kind::value, bytes, result_alignment<R>),
                               bytes);
                out(result);
            }
        }
    }

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
};

}  // namespace concur::inline v0::detail

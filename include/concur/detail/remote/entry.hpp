// SPDX-License-Identifier: BSL-1.0
// What a worker process does with a call: decodes the function and its arguments, calls it, and
// encodes what it returns. One function per type of call, at the same place in the program on both
// sides. Executors bring the memory for the reply.
#pragma once

#include <new>
#include <tuple>
#include <utility>

#include <concur/detail/remote/exceptions.hpp>
#include <concur/detail/remote/wire.hpp>
#include <concur/detail/verbs/submit.hpp>

namespace concur::inline v0::detail {

constexpr std::size_t aligned_up(std::size_t at, std::size_t alignment) noexcept {
    return (at + alignment - 1) / alignment * alignment;
}

/// A call in the hands of a worker.
class incoming_call {
public:
    incoming_call(std::byte const* arguments, std::size_t bytes, call_header const* h) noexcept
        : header(h), arguments_(arguments), bytes_(bytes) {}
    incoming_call(incoming_call const&) = delete;
    incoming_call& operator=(incoming_call const&) = delete;

    read_pass arguments() const { return read_pass(arguments_, bytes_); }
    std::byte const* data() const noexcept { return arguments_; }
    std::size_t bytes() const noexcept { return bytes_; }

    /// Room for the reply, once; drops what was there before. Throws std::bad_alloc.
    virtual std::byte* reply_room(std::size_t bytes) = 0;

    /// Room for one result at the end of the reply of a chunk.
    std::byte* append(reply_kind kind, std::size_t bytes, std::size_t alignment) {
        auto const payload = aligned_up(used_ + sizeof(item_header), alignment);
        auto const end = aligned_up(payload + bytes, 8);
        if (end > capacity_) grow(end);
        item_header const written{static_cast<std::uint32_t>(kind), 0, bytes};
        std::memcpy(buffer_ + used_, &written, sizeof written);
        used_ = end;
        return buffer_ + payload;
    }
    /// Forgets what was appended for an item that did not get to its end.
    void rewind() noexcept { used_ = kept_; }

    /// An item of a chunk is about to run.
    virtual void item_starts(std::size_t i) = 0;
    void item_done() noexcept {
        kept_ = used_;
        ++items_done_;
        publish_items();
    }

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

    /// A buffer of `bytes` or more with the same contents. Throws std::bad_alloc.
    virtual void grow(std::size_t bytes) = 0;
    /// Lets the parent see the items that are done, should this process die with the next one.
    virtual void publish_items() noexcept = 0;

    std::byte* buffer_ = nullptr;
    std::size_t capacity_ = 0;
    std::size_t used_ = 0;
    std::size_t kept_ = 0;  // of items that are done
    std::size_t items_done_ = 0;

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

/// For a value behind a header of 8-byte alignment: where its own alignment can be kept.
template <class T>
inline constexpr std::size_t wire_alignment = fixed_wire_size<T> != 0 && alignof(T) <= 8 ? 8 : 64;
inline constexpr std::size_t exception_alignment = 64;
/// Of a map's results; there is nothing of a void one.
template <class R>
inline constexpr std::size_t result_alignment = wire_alignment<R>;
template <>
inline constexpr std::size_t result_alignment<void> = 8;

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

/// The entry of a chunk of a map: runs its items and appends their results one by one.
template <class R, class F, class... Items>
struct chunk_entry {
    /// Items of a known size stand behind each other; others behind their size, at multiples of 64.
    static constexpr bool packed = ((fixed_wire_size<Items> != 0 && alignof(Items) <= 8) && ...);

    static void run(incoming_call& incoming) {
        F const& f = function(incoming);
        auto const& header = *incoming.header;
        std::size_t at = 0;
        for (std::uint32_t i = 0; i != header.items; ++i) {
            auto const size = item_size(incoming, at);
            if (i >= header.skip) {
                if (current_stop_requested()) return;
                incoming.item_starts(i);
                run_item(incoming, f, at, size);
                incoming.item_done();
            }
            at += packed ? size : aligned_up(size, 64);
        }
    }

    /// Bytes of one packed item.
    static constexpr std::size_t packed_size() noexcept {
        std::size_t at = 0;
        ((at = aligned_up(at, alignof(Items)) + fixed_wire_size<Items>), ...);
        return aligned_up(at, 8);
    }

private:
    static std::size_t item_size(incoming_call& incoming, std::size_t& at) {
        if constexpr (packed) {
            return packed_size();
        } else {
            std::uint64_t size;
            if (incoming.bytes() < at + 64) throw codec_error("a chunk of a map is cut short");
            std::memcpy(&size, incoming.data() + at, sizeof size);
            at += 64;
            if (size > incoming.bytes() - at) throw codec_error("a chunk of a map is cut short");
            return static_cast<std::size_t>(size);
        }
    }

    static void run_item(incoming_call& incoming, F const& f, std::size_t at, std::size_t size) {
        std::exception_ptr problem;
        try {
            receive_scope receiving(&incoming.handles());
            read_pass in(incoming.data() + at, size);
            std::tuple<Items...> values{in.template get<Items>()...};
            receiving.end();
            auto const invoke = [&](Items&... value) -> decltype(auto) {
                return call_item(f, std::move(value)...);
            };
            if constexpr (std::is_void_v<R>) {
                static_cast<void>(std::apply(invoke, values));
                incoming.append(reply_kind::value, 0, result_alignment<void>);
            } else {
                R const result = std::apply(invoke, values);
                carry_scope const carrying(&incoming.handles());
                auto const bytes = wire_size(result);
                write_pass out(incoming.append(reply_kind::value, bytes, result_alignment<R>),
                               bytes);
                out(result);
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

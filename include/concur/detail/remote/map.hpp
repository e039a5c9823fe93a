// SPDX-License-Identifier: BSL-1.0
// A map whose items run in other processes: the thread that reads it encodes a few inputs at a time
// into one call, and gets their results in one reply. The function crosses once per worker.
#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <concur/detail/remote/entry.hpp>
#include <concur/detail/remote/task.hpp>
#include <concur/detail/verbs/map_stream.hpp>
#include <concur/detail/verbs/source.hpp>

namespace concur::inline v0::detail {

/// Numbers the functions of maps, so that workers know them again.
CONCUR_API inline std::atomic<std::uint64_t> far_function_count{0};

/// A block of the executor, given back with the last owner.
class shared_block {
public:
    shared_block(remote_core& core, std::size_t bytes)
        : core_(core), memory_(core.allocate_block(bytes, place_)) {}
    shared_block(shared_block const&) = delete;
    shared_block& operator=(shared_block const&) = delete;
    ~shared_block() {
        if (memory_) core_.free_block(place_);
    }
    std::byte* memory() const noexcept { return memory_; }
    block_place place() const noexcept { return place_; }
    /// Of the handles to shared memory that are written into it.
    pin_list pins;

    /// Somebody else frees it.
    block_place give_up() noexcept {
        memory_ = nullptr;
        return place_;
    }

private:
    remote_core& core_;
    block_place place_{};
    std::byte* memory_;
};

// Protocol [far_chunk] - a map may be dropped while a worker still runs a chunk of it.
// part   the chunk of the reader, or null when the reader has left; guarded by the mutex, which the
//        thread that takes a reply holds meanwhile
template <class R>
struct far_chunk_link {
    std::mutex mutex;
    map_chunk<R>* part = nullptr;
    map_reader* reader = nullptr;
    chunk_tuner* tuner = nullptr;
};

/// The job of a chunk: never run here. It lives until the last reply.
template <class R, class Entry>
struct far_chunk_call {
    static constexpr std::size_t tasks = 0;
    using tail = call_frame;
    using link_type = far_chunk_link<R>;

    far_chunk_call(remote_core& c, std::size_t n, std::unique_ptr<shared_block> inputs,
                   std::shared_ptr<shared_block> f, std::shared_ptr<link_type> l)
        : core(c), unrun(n), block(std::move(inputs)), function(std::move(f)), link(std::move(l)) {}
    far_chunk_call(far_chunk_call const&) = delete;
    far_chunk_call& operator=(far_chunk_call const&) = delete;
    ~far_chunk_call() {
        if (unrun != 0) core.count_unrun_items(unrun);
    }

    remote_core& core;
    std::size_t unrun;
    std::unique_ptr<shared_block> block;
    std::shared_ptr<shared_block> function;
    std::shared_ptr<link_type> link;

    template <class Job>
    static constexpr void describe(state_ops& table) noexcept {
        table.attend = &attend_remote;
        table.call_back = &call_back_remote;
        table.remote = &travel<Job>;
    }

private:
    template <class Job>
    static void encode(state& s, remote_core&, call_frame& frame) {
        auto const place = Job::call_of(s).block->give_up();
        frame.kind = call_frame::chunk | call_frame::in_block;
        frame.bytes = sizeof place;
        std::memcpy(frame.payload, &place, sizeof place);
    }

    template <class Job>
    static void complete(state& s, reply_view const& reply) noexcept {
        far_chunk_call& self = Job::call_of(s);
        if (reply.kind == reply_kind::exception) {  // its function, or its items, did not arrive
            auto const problem = decode_exception({reply.data, reply.bytes}, reply.pid);
            self.give(self.unrun, [&] { return outcome<R>(problem); });
        } else {
            self.take(reply);
            std::lock_guard const lock(self.link->mutex);
            if (self.link->tuner && reply.items != 0) {
                self.link->tuner->measured(reply.items, reply.took);
            }
        }
        Job::drop(s);
        s.publish_away(phase_value);
    }

    template <class Job>
    static void partial(state& s, reply_view const& reply,
                        std::exception_ptr const& problem) noexcept {
        far_chunk_call& self = Job::call_of(s);
        self.take(reply);
        if (problem && self.unrun != 0) self.give(1, [&] { return outcome<R>(problem); });
    }

    template <class Job>
    static void fail(state& s, std::exception_ptr const& problem) noexcept {
        Job::drop(s);
        ::new (static_cast<void*>(behind<std::exception_ptr>(s))) std::exception_ptr(problem);
        s.publish_away(phase_error);
    }

    /// The results of the next items.
    void take(reply_view const& reply) noexcept {
        std::size_t at = 0;
        give(std::min(reply.items, unrun), [&] { return next(reply, at); });
    }

    /// Gives the reader `n` results, counted before it can see them.
    template <class Result>
    void give(std::size_t n, Result&& result) noexcept {
        if (n == 0) return;
        std::lock_guard const lock(link->mutex);
        auto* const part = link->part;
        auto const first = part ? part->ready.load() : 0;
        std::size_t values = 0;
        for (std::size_t i = 0; i != n; ++i) {
            outcome<R> one = result();
            values += one.has_value();
            if (part) part->slots[first + i].emplace(std::move(one));
        }
        unrun -= n;
        if (values != 0) core.count_done(phase_value, values);
        if (values != n) core.count_done(phase_error, n - values);
        if (!part) return;
        part->ready.store(first + n);
        link->reader->item_ready();
    }

    static outcome<R> next(reply_view const& reply, std::size_t& at) noexcept {
        try {
            item_header header;
            if (at > reply.bytes || reply.bytes - at < sizeof header) throw cut_short();
            std::memcpy(&header, reply.data + at, sizeof header);
            bool const failed = static_cast<reply_kind>(header.kind) == reply_kind::exception;
            auto const alignment = failed ? exception_alignment : result_alignment<R>;
            auto const payload = aligned_up(at + sizeof header, alignment);
            if (payload > reply.bytes || header.bytes > reply.bytes - payload) throw cut_short();
            auto const bytes = static_cast<std::size_t>(header.bytes);
            at = aligned_up(payload + bytes, 8);
            if (failed) {
                return outcome<R>(decode_exception({reply.data + payload, bytes}, reply.pid));
            }
            if constexpr (std::is_void_v<R>) {
                return outcome<void>();
            } else {
                read_pass in(reply.data + payload, bytes);
                return outcome<R>(in.template get<R>());
            }
        } catch (...) {
            return outcome<R>(std::current_exception());
        }
    }
    static codec_error cut_short() { return codec_error("the results of a map are cut short"); }

    template <class Job>
    static constexpr remote_ops travel{
        &Entry::run,   &encode<Job>, &complete<Job>,
        &partial<Job>, &fail<Job>,   [](state& s) noexcept -> call_frame& { return Job::tail(s); },
        true};
};

/// The map of a function over ranges, for an executor of other processes.
template <class R, class F, class... Ranges>
class far_map_run final : public map_stream<R> {
    using typename map_stream<R>::chunk;
    using source_type = streamed_source<item_cell, Ranges...>;
    using entry = chunk_entry<R, F, typename kept_input<Ranges>::value_type...>;
    using call_type = far_chunk_call<R, entry>;
    using chunk_job = job<call_type, void, true>;

    struct far_chunk final : chunk {
        far_chunk(map_reader& reader, std::size_t from, std::size_t items,
                  std::unique_ptr<shared_block> b)
            : chunk(reader, from, items), block(std::move(b)) {}
        std::unique_ptr<shared_block> block;
        std::shared_ptr<far_chunk_link<R>> link;
    };

public:
    template <class... From>
    far_map_run(remote_core& core, map_options options, F f, std::in_place_t, From&&... ranges)
        : map_stream<R>(core, std::move(options), core.chunks_in_flight(),
                        std::chrono::milliseconds(1)),
          core_(core),
          source_(std::forward<From>(ranges)...) {
        require_no_local_captured(f);
        size_pass size;
        size(f);
        function_ = std::make_shared<shared_block>(core, sizeof(call_header) + size.bytes());
        ::new (function_->memory()) call_header;
        {
            carry_scope const carrying(&function_->pins);
            write_pass out(function_->memory() + sizeof(call_header), size.bytes());
            out(f);
        }
        function_bytes_ = size.bytes();
        this->start();
    }
    ~far_map_run() override { this->stop(); }

private:
    std::unique_ptr<chunk> read_inputs(std::size_t n) override {
        if constexpr (entry::packed) {
            return read_packed(n);
        } else {
            return read_framed(n);
        }
    }

    /// Items of a known size, written as they are read.
    std::unique_ptr<chunk> read_packed(std::size_t n) {
        constexpr auto step = entry::packed_size();
        auto block = std::make_unique<shared_block>(core_, arguments_at() + n * step);
        auto* const to = block->memory() + arguments_at();
        std::size_t read = 0;
        auto const write = [&](auto&&... cell) {
            write_pass out(to + read * step, step);
            (out(cell.value), ...);
            ++read;
        };
        read_up_to(n, read, write);
        return finish(std::move(block), read, read * step);
    }

    /// Others: sized first, then written, each behind its size.
    std::unique_ptr<chunk> read_framed(std::size_t n) {
        std::vector<std::pair<typename source_type::item, std::size_t>> items;
        std::size_t read = 0, bytes = 0;
        auto const keep = [&](auto&&... cell) {
            size_pass size;
            (size(cell.value), ...);
            items.emplace_back(typename source_type::item(std::forward<decltype(cell)>(cell)...),
                               size.bytes());
            bytes += 64 + call_header::padded(size.bytes());
            ++read;
        };
        read_up_to(n, read, keep);
        if (read == 0) return nullptr;
        auto block = std::make_unique<shared_block>(core_, arguments_at() + bytes);
        carry_scope const carrying(&block->pins);
        auto* to = block->memory() + arguments_at();
        for (auto& [cells, size] : items) {
            std::uint64_t const wide = size;
            std::memcpy(to, &wide, sizeof wide);
            write_pass out(to + 64, size);
            std::apply([&](auto&... cell) { (out(cell.value), ...); }, cells);
            to += 64 + call_header::padded(size);
        }
        return finish(std::move(block), read, bytes);
    }

    template <class Take>
    void read_up_to(std::size_t n, std::size_t& read, Take& take) {
        try {
            while (read < n && source_.read(take)) {
            }
            if (read < n) this->end_input();
        } catch (...) {
            this->end_at(this->issued() + read, std::current_exception());
        }
    }

    std::unique_ptr<chunk> finish(std::unique_ptr<shared_block> block, std::size_t read,
                                  std::size_t bytes) {
        if (read == 0) return nullptr;
        auto const& options = this->options();
        call_header header;
        header.bytes = bytes;
        header.seeded = true;
        header.seed = options.seed.value_or(0);
        header.first = this->issued();
        header.function_id = id_;
        header.function_at = function_->place().offset;
        header.function_bytes = function_bytes_;
        header.items = static_cast<std::uint32_t>(read);
        header.timed = options.timeout.has_value();
        header.name_bytes = static_cast<std::uint32_t>(options.name.size());
        std::memcpy(block->memory(), &header, sizeof header);
        std::memcpy(block->memory() + sizeof header, options.name.data(), options.name.size());
        return std::make_unique<far_chunk>(this->reader(), this->issued(), read, std::move(block));
    }

    std::size_t arguments_at() const noexcept {
        return sizeof(call_header) + call_header::padded(this->options().name.size());
    }

    state& make_job(chunk& some) override {
        auto& part = static_cast<far_chunk&>(some);
        part.link = std::make_shared<far_chunk_link<R>>();
        part.link->part = &part;
        part.link->reader = &this->reader();
        part.link->tuner = &this->tuner();
        return chunk_job::make(&core_, 0, 2, [&] {
            return call_type(core_, part.size, std::move(part.block), function_, part.link);
        });
    }

    /// The worker shares nothing with the caller, so nobody waits for it.
    void leave(chunk& some) noexcept override {
        auto& part = static_cast<far_chunk&>(some);
        if (part.link) {
            std::lock_guard const lock(part.link->mutex);
            part.link->part = nullptr;
            part.link->tuner = nullptr;
        }
        if (part.state) part.state->remove_waiter(part.done);
    }

    remote_core& core_;
    source_type source_;
    std::shared_ptr<shared_block> function_;
    std::size_t function_bytes_ = 0;
    std::uint64_t const id_ = far_function_count.fetch_add(1) + 1;
};

}  // namespace concur::inline v0::detail

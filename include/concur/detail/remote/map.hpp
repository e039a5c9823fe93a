// SPDX-License-Identifier: BSL-1.0
// A map whose items run in other processes: the thread that reads it encodes a few inputs at a time
// into one call, and gets their results in one reply. The function crosses once per worker.
#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <concur/detail/remote/entry.hpp>
#include <concur/detail/remote/items.hpp>
#include <concur/detail/remote/task.hpp>
#include <concur/detail/verbs/map_stream.hpp>

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

// Protocol [far_chunk] - a map may be dropped while a worker still runs a chunk of it, and while
// another thread reads a reply: codecs of users run there, so without a lock, and the reader does
// not wait for them.
// part       the chunk of the reader, or null when the reader has left
// taking     a thread writes results to slots[ready, ...) of the part
// left       the slots, when the reader has left meanwhile: that thread frees them
// All guarded by the mutex; one thread at a time takes.
template <class R>
struct far_chunk_link {
    std::mutex mutex;
    map_chunk<R>* part = nullptr;
    bool taking = false;
    std::unique_ptr<result_slots<R>> left;
    map_reader* reader = nullptr;
    chunk_tuner* tuner = nullptr;
};

/// The job of a chunk: never run here. It lives until the last reply.
template <class R, class Entry>
struct far_chunk_call {
    static constexpr std::size_t tasks = 0;
    using tail = call_frame;
    using link_type = far_chunk_link<R>;
    using slots = result_slots<R>;

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
    std::exception_ptr no_memory;  // for a result: nothing is given from there on

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
            self.give_problem(self.unrun, decode_exception({reply.data, reply.bytes}, reply.pid));
        } else {
            self.take(reply);
            std::lock_guard const lock(self.link->mutex);
            if (self.link->tuner && reply.items != 0) {
                self.link->tuner->measured(reply.items, reply.took);
            }
        }
        if (auto const problem = self.no_memory) return fail<Job>(s, problem);
        Job::drop(s);
        s.publish_away(phase_value);
    }

    template <class Job>
    static void partial(state& s, reply_view const& reply,
                        std::exception_ptr const& problem) noexcept {
        far_chunk_call& self = Job::call_of(s);
        self.take(reply);
        if (problem && self.unrun != 0) self.give_problem(1, problem);
    }

    template <class Job>
    static void fail(state& s, std::exception_ptr const& problem) noexcept {
        Job::drop(s);
        ::new (static_cast<void*>(behind<std::exception_ptr>(s))) std::exception_ptr(problem);
        s.publish_away(phase_error);
    }

    /// The results of the next items.
    void take(reply_view const& reply) noexcept {
        give(std::min(reply.items, unrun), [&](slots* to, std::size_t at, std::size_t n) {
            return read_results(reply, to, at, n);
        });
    }

    /// Gives the reader the same problem for the next n items.
    void give_problem(std::size_t n, std::exception_ptr const& problem) noexcept {
        give(n, [&](slots* to, std::size_t at, std::size_t) {
            for (std::size_t i = 0; i != n && to; ++i) to->put(at + i, outcome<R>(problem));
            return std::size_t{0};
        });
    }

    /// Gives the reader `n` results, counted before it can see them. `put` says how many are
    /// values.
    template <class Put>
    void give(std::size_t n, Put put) noexcept {
        if (n == 0 || no_memory) return;
        auto const [to, at] = begin_taking();
        try {
            auto const values = put(to, at, n);
            unrun -= n;
            if (values != 0) core.count_done(phase_value, values);
            if (values != n) core.count_done(phase_error, n - values);
        } catch (...) {
            no_memory = std::current_exception();
            n = 0;
        }
        if (to) end_taking(n);
    }

    /// Where the next results go, and which are the next; null: nobody wants them.
    std::pair<slots*, std::size_t> begin_taking() noexcept {
        std::lock_guard const lock(link->mutex);
        auto* const part = link->part;
        link->taking = part != nullptr;
        if (!part) return {nullptr, 0};
        return {part->slots.get(), part->ready.load()};
    }

    void end_taking(std::size_t n) noexcept {
        std::unique_ptr<slots> nobodys;  // destroyed without the lock
        std::lock_guard const lock(link->mutex);
        link->taking = false;
        nobodys = std::move(link->left);
        if (!link->part) return;
        link->part->ready.store(link->part->ready.load() + n);
        link->reader->item_ready();
    }

    /// Puts n results; how many are values. What cannot be read is a failure of its item.
    static std::size_t read_results(reply_view const& reply, slots* to, std::size_t at,
                                    std::size_t n) {
        results_reader<R> in(reply);
        std::size_t values = 0;
        for (std::size_t i = 0; i != n;) {
            auto const some = in.next(n - i);
            if (in.copies_values && !some.failed) {
                if constexpr (in.copies_values) {
                    if (to) to->put_values(at + i, some.data, some.items);
                }
                values += some.items;
            } else {
                for (std::size_t k = 0; k != some.items; ++k) {
                    auto one = in.outcome_at(some, k);
                    values += one.has_value();
                    if (to) to->put(at + i + k, std::move(one));
                }
            }
            i += some.items;
        }
        return values;
    }

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
    using source_type = far_source<Ranges...>;
    using entry = chunk_entry<R, F, typename source_type::items>;
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
        std::unique_ptr<shared_block> block;
        auto const read = source_.read(n, [&](std::size_t bytes) {
            block = std::make_unique<shared_block>(core_, arguments_at() + bytes);
            return items_room{block->memory() + arguments_at(), &block->pins};
        });
        if (read.ended) this->end_input();
        if (read.problem) this->end_at(this->issued() + read.count, read.problem);
        return read.count != 0 ? finish(std::move(block), read.count, read.bytes) : nullptr;
    }
    std::size_t known_left() const noexcept override { return source_.known_left(); }

    std::unique_ptr<chunk> finish(std::unique_ptr<shared_block> block, std::size_t read,
                                  std::size_t bytes) {
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
            if (part.link->taking) part.link->left = std::move(part.slots);
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

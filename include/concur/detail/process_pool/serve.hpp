// SPDX-License-Identifier: BSL-1.0
// What a worker process does from its start to its end: takes calls from its ring, runs them, and
// replies. One thread; it may be killed at any instruction, and ends with _exit only.
#pragma once

#include <dlfcn.h>
#include <stdio_ext.h>

#include <cstdio>
#include <thread>

#include <concur/detail/process_pool/layout.hpp>
#include <concur/detail/remote/entry.hpp>
#include <concur/detail/shared/parcels.hpp>
#include <concur/detail/verbs/item.hpp>

namespace concur::inline v0::detail {

/// Stands for the pool in its worker: this_worker and this_task ask it nothing, and the pool's own
/// object cannot be used here.
class far_pool_core final : public executor_core {
public:
    far_pool_core() : executor_core({}) {}
    bool inert() const noexcept override { return true; }
    void admit(bool) override { refuse(); }
    void admit_internal(bool) override { refuse(); }
    void require_open() override { refuse(); }
    void enqueue(state& task) noexcept override { task.release(); }
    void count_unrun(std::size_t, unrun) noexcept override {}
    void leave_queue() noexcept override {}
    void retire_unrun() noexcept override {}
    void retain() noexcept override {}
    void release() noexcept override {}
    bool help(state&) override { return false; }
    void begin_wait(wait_place&) override {}
    void end_wait(wait_place&) noexcept override {}
    void count_items(std::size_t) noexcept override {}
    void count_unrun_items(std::size_t) noexcept override {}
    std::size_t workers() const noexcept override { return 1; }
    std::size_t chunks_in_flight() const noexcept override { return 1; }
    bool lend_place(worker_context&) noexcept override { return false; }
    void return_place(worker_context&) noexcept override {}
    void add_dependent(dependent_link&) override {}
    void remove_dependent(dependent_link&) noexcept override {}

private:
    [[noreturn]] static void refuse() {
        throw broken_executor("this pool belongs to another process; make one in the worker");
    }
};

// Protocol [stop_watch] - a task that asks for a std::stop_token in a worker.
// current_   the position that runs; changed by the worker's main thread under the mutex
// The watcher thread, started by the first such task, sleeps on stop_bell; when stop_call names the
// position that runs, it asks under the mutex, so that the next task is never asked instead.
class far_stop {
public:
    explicit far_stop(worker_words& words) : words_(words), point_(make_stop_point()) {}

    state& point() noexcept { return *point_; }

    void begin(std::uint64_t position) noexcept {
        if (!watched_) {
            current_ = position;
            return;
        }
        std::lock_guard const lock(mutex_);
        current_ = position;
        // What the task before was asked is over.
        point_->word.fetch_and(~std::uint64_t{stop_asked},
                               std::memory_order_relaxed);  // [stop_watch] under the mutex
    }

    /// The calling task wants a token.
    void watch() {
        if (watched_) return;
        watched_ = true;
        std::thread([this] { run(); }).detach();
    }

private:
    void run() noexcept {
        for (;;) {
            auto const seen = words_.stop_bell.load();
            {
                std::lock_guard const lock(mutex_);
                if (current_ != 0 && words_.stop_call.load() == current_) {
                    stop_registry::ask(*point_);
                }
            }
            futex_wait_shared(words_.stop_bell, seen);
        }
    }

    worker_words& words_;
    state_ref const point_;
    std::mutex mutex_;
    std::uint64_t current_ = 0;
    bool watched_ = false;
};

/// The worker itself.
class far_worker {
public:
    far_worker(std::byte* segment, std::size_t index)
        : view_(segment),
          memory_(view_.worker(index)),
          ring_(memory_.ring),
          region_(view_.replies(index)),
          replies_(region_, view_.pool().reply_bytes),
          stop_(memory_.words),
          place_{&core_, index, &counts_, nullptr} {}
    far_worker(far_worker const&) = delete;
    far_worker& operator=(far_worker const&) = delete;

    int run() {
        memory_.death.hold();
        alert_manager();  // it can watch the sensor now
        set_awake(true);
        this_worker_context = &place_;
        // The first call is the initializer: no task runs where that has failed.
        if (!serve(next())) return 1;
        for (;;) {
            call_slot const& slot = next();
            if (slot.kind & call_frame::quit) return 0;
            serve(slot);
        }
    }

private:
    class served;

    call_slot const& next();
    call_slot const* poll();
    void set_awake(bool is) noexcept;
    bool serve(call_slot const& slot);
    call_entry entry_of(std::uint64_t function);
    call_entry load_entry(std::size_t module, std::uint64_t offset);
    void check_memory();
    std::uint64_t allocate(std::size_t bytes);
    void ask_for_room() noexcept;
    void alert_manager() noexcept;

    struct known_function {
        std::uint64_t id = 0;
        void* function = nullptr;
        void (*destroy)(void*) noexcept = nullptr;
        std::unique_ptr<borrow_list> borrowed;
    };

    pool_view const view_;
    worker_memory& memory_;
    work_side ring_;
    std::byte* const region_;
    reply_arena replies_;
    far_pool_core core_;
    far_stop stop_;
    tally counts_;
    worker_context place_;
    std::uint64_t module_bases_[pool_memory::most_modules] = {};
    bool module_loaded_[pool_memory::most_modules] = {};
    known_function functions_[4];
    std::size_t oldest_function_ = 0;
};

// ---- implementation

inline call_slot const& far_worker::next() {
    // A blocked wake-up costs 25 to 45 us, so polling about as long may pay - while a CPU is spare.
    constexpr auto worth = std::chrono::microseconds(30);
    for (;;) {
        if (auto const* const slot = ring_.take()) return *slot;
        auto& pool = view_.pool();
        if (pool.awake.load() <= pool.most_awake) {
            auto const until = steady_clock::now() + worth;
            do {
                if (auto const* const slot = poll()) return *slot;
            } while (steady_clock::now() < until);
        }
        set_awake(false);
        call_slot const* found = nullptr;
        memory_.bell.wait([&] { return (found = ring_.take()) != nullptr; });
        set_awake(true);
        return *found;
    }
}

/// Killed in between, the count is off by one until the pool starts the next worker here.
inline void far_worker::set_awake(bool is) noexcept {
    memory_.words.awake.store(is);
    view_.pool().awake.fetch_add(is ? 1 : -1);
}

inline call_slot const* far_worker::poll() {
    for (int i = 0; i < 64; ++i) {
        if (auto const* const slot = ring_.take()) return slot;
        cpu_relax();
    }
    return nullptr;
}

/// One call that is being served.
class far_worker::served final : public incoming_call, private call_handles {
public:
    served(far_worker& worker, std::uint64_t position, std::byte const* arguments,
           std::size_t bytes, call_header const* h) noexcept
        : incoming_call(arguments, bytes, h, worker.memory_.words.progress,
                        worker_words::progress_of(position, 0)),
          worker_(worker),
          position_(position) {}

    std::byte* reply_room(std::size_t bytes) override {
        drop_block();
        reply_bytes_ = bytes;
        if (bytes <= reply_slot::room) return inline_;
        block_ = worker_.allocate(bytes);
        return worker_.region_ + block_;
    }
    void* known_function() noexcept override {
        for (auto const& f : worker_.functions_) {
            if (f.id == header->function_id) return f.function;
        }
        return nullptr;
    }
    std::byte const* function_bytes() const noexcept override {
        auto const* const block = worker_.view_.at(header->function_at);
        return reinterpret_cast<call_header const*>(block)->arguments();
    }
    void keep_function(void* function, void (*destroy)(void*) noexcept,
                       std::unique_ptr<borrow_list> borrowed) override {
        auto& place =
            worker_.functions_[worker_.oldest_function_++ % std::size(worker_.functions_)];
        place.borrowed.reset();
        if (place.function) place.destroy(place.function);
        borrowed->begin();
        place = {header->function_id, function, destroy, std::move(borrowed)};
    }
    call_handles& handles() noexcept override { return *this; }

    void note_start() noexcept override {
        auto& words = worker_.memory_.words;
        words.started_at.store(
            std::chrono::duration_cast<duration>(steady_clock::now().time_since_epoch()).count());
        words.started_call.store(position_);
    }

    /// Turns what there is so far into the reply that says what went wrong.
    void fail(std::exception_ptr const& problem) {
        failed_ = true;
        try {
            auto const bytes = encode_exception(problem);
            std::memcpy(reply_room(bytes.size()), bytes.data(), bytes.size());
        } catch (std::bad_alloc const&) {
            drop_block();  // an exception without bytes arrives as std::bad_alloc
            reply_bytes_ = 0;
        }
    }

    bool failed() const noexcept { return failed_; }

    void send(bool chunk, duration took) {
        auto kind = static_cast<std::uint32_t>(failed_ ? reply_kind::exception
                                               : chunk ? reply_kind::items
                                                       : reply_kind::value);
        bool const items = chunk && !failed_;
        reply_in_block const far{block_, items ? kept_ : reply_bytes_, items_done_, took.count()};
        bool const in_block = items || block_ != 0;
        if (in_block) kind |= reply_is_in_block;
        if (parcels_) kind |= reply_has_parcels;
        auto const bytes = in_block ? sizeof far : reply_bytes_;
        worker_.ring_.reply(position_, kind, static_cast<std::uint32_t>(bytes), [&](std::byte* to) {
            std::memcpy(to, in_block ? reinterpret_cast<std::byte const*>(&far) : inline_, bytes);
        });
    }

private:
    void hand_over(shared_mapping& mapping) override {
        parcels_ = true;
        send_parcel(inherited_parcels, mapping, static_cast<std::uint32_t>(worker_.place_.index),
                    position_, [this] { worker_.ask_for_room(); });
    }
    void grow(std::size_t bytes) override {
        auto const wanted = std::max<std::size_t>(block_ != 0 ? bytes * 2 : bytes, 4096);
        auto const larger = worker_.allocate(wanted);
        std::byte* const to = worker_.region_ + larger;
        if (used_ != 0) std::memcpy(to, buffer_, used_);
        worker_.memory_.words.reply_block.store(larger);
        drop_block();
        block_ = larger;
        buffer_ = to;
        capacity_ = wanted;
    }
    void drop_block() noexcept {
        if (block_ != 0) worker_.replies_.free(std::exchange(block_, 0));
    }

    far_worker& worker_;
    std::uint64_t const position_;
    std::uint64_t block_ = 0;  // in the worker's region; 0: none
    std::size_t reply_bytes_ = 0;
    bool failed_ = false;
    bool parcels_ = false;
    alignas(64) std::byte inline_[64];
};

/// True when nothing was thrown.
inline bool far_worker::serve(call_slot const& slot) {
    auto const position = slot.position();
    alignas(64) std::byte arguments[64];
    call_header const* header = nullptr;
    std::byte const* data = arguments;
    std::size_t bytes = slot.bytes;
    if (slot.kind & call_frame::in_block) {
        block_place place;
        std::memcpy(&place, slot.payload, sizeof place);
        header = reinterpret_cast<call_header const*>(view_.at(place.offset));
        data = header->arguments();
        bytes = static_cast<std::size_t>(header->bytes);
    } else {
        std::memcpy(arguments, slot.payload, call_slot::room);
    }
    bool const chunk = slot.kind & call_frame::chunk;
    served call(*this, position, data, bytes, header);
    auto const began = chunk ? steady_clock::now() : time_point();
    stop_.begin(position);
    {
        std::string const name = header ? header->name() : std::string();
        task_scope scope(stop_.point(),
                         header && header->seeded ? std::optional(header->seed) : std::nullopt,
                         name.empty() ? nullptr : &name);
        auto& context = scope.context();
        context.stop_word = &memory_.words.stop_call;
        context.stop_value = position;
        context.attempt = header ? header->attempt : 1;
        context.wants_token = [](void* stop) { static_cast<far_stop*>(stop)->watch(); };
        context.token_giver = &stop_;
        if (header && header->timed) call.note_start();
        try {
            entry_of(slot.function)(call);
        } catch (...) {
            call.fail(std::current_exception());
        }
    }
    if (chunk) {
        for (auto& f : functions_) {
            if (f.borrowed) f.borrowed->hold_copies();
        }
    }
    if (__fpending(stdout) != 0) std::fflush(stdout);
    if (view_.pool().memory_limit != 0) check_memory();
    call.send(chunk, chunk ? steady_clock::now() - began : duration());
    if (!view_.pool().bell.ring(inherited_event)) {
        view_.pool().unheard.store(1);
        alert_manager();
    }
    return !call.failed();
}

/// Memory for a reply. What the pool reads at the moment comes back soon; nothing else can.
inline std::uint64_t far_worker::allocate(std::size_t bytes) {
    auto const offset = replies_.try_allocate(bytes);
    if (offset == reply_arena::none) throw std::bad_alloc();
    return offset;
}

/// The socket for shared memory is full: the pool's thread has to look.
inline void far_worker::ask_for_room() noexcept {
    view_.pool().parcels_wait.store(1);
    alert_manager();
}

inline void far_worker::alert_manager() noexcept {
    auto& control = view_.pool().control;
    control.fetch_add(1);
    futex_wake_shared(control);
}

inline call_entry far_worker::entry_of(std::uint64_t function) {
    auto const module = static_cast<std::size_t>(function >> pool_memory::function_bits);
    auto const offset = function & ((1ull << pool_memory::function_bits) - 1);
    if (!module_loaded_[module]) return load_entry(module, offset);
    return reinterpret_cast<call_entry>(module_bases_[module] + offset);
}

inline call_entry far_worker::load_entry(std::size_t module, std::uint64_t offset) {
    auto const& entry = view_.pool().modules[module];
    auto const* found = find_code({entry.key, 0});
    if (!found && dlopen(entry.path, RTLD_NOW | RTLD_GLOBAL)) found = find_code({entry.key, 0});
    if (!found) {
        throw broken_executor(
            text("the function to call lives in %s, which this worker cannot load, or which was "
                 "built anew meanwhile",
                 entry.path[0] ? entry.path : "a module without a name"));
    }
    module_bases_[module] = reinterpret_cast<std::uintptr_t>(found);
    module_loaded_[module] = true;
    return reinterpret_cast<call_entry>(module_bases_[module] + offset);
}

inline void far_worker::check_memory() {
    int const fd = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    char line[128] = {};
    auto const length = ::read(fd, line, sizeof line - 1);
    ::close(fd);
    unsigned long total = 0, resident = 0, shared = 0;
    // What is shared would not go with the worker.
    if (length > 0 && std::sscanf(line, "%lu %lu %lu", &total, &resident, &shared) == 3 &&
        resident > shared && (resident - shared) * page_bytes() > view_.pool().memory_limit) {
        memory_.words.over_limit.store(1);
    }
}

/// worker_main of the pool's nursery.
inline int serve_pool(std::byte* segment, std::size_t, std::uint32_t index, std::uint32_t) {
    // Memory that a task has freed is kept for the next one: to touch 100 MB anew costs ten times
    // what copying them does. Not where the user wants workers to stay small.
    auto const& pool = pool_view(segment).pool();
    if (pool.memory_limit == 0) keep_freed_memory();
    if (pool.name[0] != '\0') name_thread(text("%s/%u", pool.name, index).c_str());
    shared_registry::get().keep_idle();
    far_worker worker(segment, index);
    return worker.run();
}

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// Shared segments as this process sees them: each is mapped once, found again by its id, and
// unmapped with the last handle. Made, attached and released by any thread.
// Cost: 4 us to make or attach, whatever the size; 0.1 us for a handle to what is mapped already.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include <concur/detail/shared/room.hpp>
#include <concur/detail/shared/words.hpp>
#include <concur/error.hpp>

namespace concur::inline v0::detail {

/// What a handle is in a message.
struct shared_image {
    std::uint64_t id = 0;     ///< 0: of an empty array
    std::uint64_t count = 0;  ///< elements
    std::int32_t pid = 0;     ///< who has it open,
    std::int32_t fd = -1;     ///< and by which number
    std::uint32_t layout = 0;
    std::uint32_t writable = 0;
};
static_assert(sizeof(shared_image) == 32);  // short calls with a handle need no block

// Protocol [mapping] - a segment in one process
//
//   handles_   owners here: handles, pins of calls under way. Any thread counts up, by one that it
//              has, or under the lock; down to `borrowed_` only under the lock
//   borrowed_  of these such that need not hold the segment: those in functions that a worker keeps
//              between calls. Each call pins what its function refers to, in the process that sent
//              it. Changed by a worker's main thread
//   held_      this process is one of segment_words::holders; under the lock
//
// Without handles it is unmapped; or, in a worker, kept for the next call (idle_); or, where it was
// made and if no other process holds it, kept as memory for the next segment (spares_).
class shared_mapping {
public:
    shared_mapping(segment&& memory, std::uint64_t id, bool writable)
        : memory_(std::move(memory)), id_(id), writable_(writable) {}
    shared_mapping(shared_mapping const&) = delete;
    shared_mapping& operator=(shared_mapping const&) = delete;
    ~shared_mapping() {
        if (!owns_fd()) memory_.forget_fd();
    }

    std::byte* data() const noexcept { return memory_.data(); }
    std::size_t bytes() const noexcept { return memory_.size() - segment_words::bytes; }
    std::uint64_t id() const noexcept { return id_; }
    bool writable() const noexcept { return writable_; }
    segment_words& words() const noexcept {
        return *std::launder(reinterpret_cast<segment_words*>(data() + bytes()));
    }
    /// The descriptor; -1 in a child in which it was closed.
    int fd() const noexcept { return owns_fd() ? memory_.fd() : -1; }

    void retain() noexcept {
        handles_.fetch_add(1, std::memory_order_relaxed);  // [mapping] the caller has one
    }
    void release() noexcept;

    void borrow() noexcept;
    void unborrow() noexcept;
    /// Holds what was borrowed and copied meanwhile.
    void hold_copies() noexcept;

private:
    friend class shared_registry;

    bool owns_fd() const noexcept {
        if (!forked_) return true;
        struct stat now{};
        return memory_.fd() >= 0 && fstat(memory_.fd(), &now) == 0 && now.st_ino == inode_ &&
               now.st_dev == device_;
    }
    /// Gives the pages back, also under the mappings of others.
    void punch() const noexcept {
        constexpr int hole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
        auto const size = bytes() / page_bytes() * page_bytes();
        if (size == 0) return;
        if (!writable_ || madvise(data(), size, MADV_REMOVE) != 0) {
            // A refusal: the pages go with the last mapping.
            if (fd() >= 0) static_cast<void>(fallocate(fd(), hole, 0, static_cast<off_t>(size)));
        }
    }

    segment memory_;
    std::uint64_t id_;
    bool const writable_;
    bool made_here_ = false;
    bool counted_ = true;  // no named one: those live until they are removed
    bool held_ = false;
    bool forked_ = false;  // it was there before this process was forked
    ino_t inode_ = 0;
    dev_t device_ = 0;
    std::uint32_t place_ = segment_words::nowhere;
    std::atomic<std::size_t> handles_{0};
    std::atomic<std::size_t> borrowed_{0};
    shared_mapping* next_ = nullptr;  // in its bucket
};

/// Owns a handle.
class mapping_ref {
public:
    mapping_ref() noexcept = default;
    /// Takes over one that is counted.
    explicit mapping_ref(shared_mapping* counted) noexcept : mapping_(counted) {}
    mapping_ref(mapping_ref const& other) noexcept : mapping_(other.mapping_) {
        if (mapping_) mapping_->retain();
    }
    mapping_ref(mapping_ref&& other) noexcept : mapping_(std::exchange(other.mapping_, nullptr)) {}
    mapping_ref& operator=(mapping_ref other) noexcept {
        std::swap(mapping_, other.mapping_);
        return *this;
    }
    ~mapping_ref() {
        if (mapping_) mapping_->release();
    }
    shared_mapping* get() const noexcept { return mapping_; }
    shared_mapping* operator->() const noexcept { return mapping_; }
    shared_mapping& operator*() const noexcept { return *mapping_; }
    explicit operator bool() const noexcept { return mapping_ != nullptr; }

private:
    shared_mapping* mapping_ = nullptr;
};

/// All segments of this process.
class CONCUR_API shared_registry {
public:
    static shared_registry& get() {
        static auto* const leaked = new shared_registry;  // handles may be static
        return *leaked;
    }

    /// Fresh memory; zeroed if so asked. Throws std::system_error.
    mapping_ref create(char const* what, std::size_t bytes, bool zeroed);
    /// What a message names. Throws codec_error.
    mapping_ref attach(shared_image const& image);
    /// A segment whose descriptor has come with a hold of its own. Null: it is none.
    mapping_ref adopt(unique_fd fd, std::uint64_t id, bool writable);
    /// One with a name, just opened or made; the id is that of its words.
    mapping_ref enter_named(segment&& memory, bool writable);

    /// From now on segments without handles stay mapped for a while.
    void keep_idle() noexcept { most_idle_ = 16; }
    /// Gives back what is only kept for later use.
    void trim() noexcept {
        std::vector<std::unique_ptr<shared_mapping>> going;
        {
            std::lock_guard const lock(mutex_);
            going.swap(spares_);
        }
        for (auto const& spare : going) spare->punch();  // others may still have it mapped
    }
    pid_t pid() const noexcept { return pid_; }

private:
    friend class shared_mapping;
    static constexpr std::size_t buckets = 64;
    static constexpr std::size_t most_spares = 8;

    shared_registry() {
        idle_.reserve(17);
        pthread_atfork([] { get().before_fork(); }, [] { get().mutex_.unlock(); },
                       [] { get().in_child(); });
    }

    // ---- all under the lock
    shared_mapping* find(std::uint64_t id, bool writable) noexcept;
    shared_mapping& enter(std::unique_ptr<shared_mapping> mapping) noexcept;
    mapping_ref use(shared_mapping& mapping) noexcept;
    std::unique_ptr<shared_mapping> leave(shared_mapping& mapping) noexcept;
    void hold(shared_mapping& mapping) noexcept;
    bool let_go(shared_mapping& mapping) noexcept;
    std::unique_ptr<shared_mapping> take_spare(std::size_t bytes) noexcept;
    std::unique_ptr<shared_mapping> keep_spare(std::unique_ptr<shared_mapping> mapping) noexcept;
    std::unique_ptr<shared_mapping> oldest_idle() noexcept;
    void drop_dead_idle() noexcept;
    mapping_ref open(shared_image const& image);
    void reopen(shared_mapping& mapping, shared_image const& image) noexcept;

    void last_release(shared_mapping& mapping) noexcept;
    void before_fork() noexcept;
    void in_child() noexcept;

    std::mutex mutex_;
    shared_mapping* first_[buckets] = {};
    std::vector<shared_mapping*> idle_;  // the oldest first
    std::vector<std::unique_ptr<shared_mapping>> spares_;
    std::size_t most_idle_ = 0;
    pid_t pid_ = getpid();
};

// ---- implementation

inline void shared_mapping::release() noexcept {
    auto n = handles_.load(std::memory_order_relaxed);           // [mapping] then tried for
    while (n > borrowed_.load(std::memory_order_relaxed) + 1) {  // [mapping]
        if (handles_.compare_exchange_weak(n, n - 1, std::memory_order_release,  // [mapping]
                                           std::memory_order_relaxed)) {  // with last_release()
            return;
        }
    }
    shared_registry::get().last_release(*this);
}

inline void shared_mapping::borrow() noexcept {
    auto& registry = shared_registry::get();
    std::lock_guard const lock(registry.mutex_);
    auto const borrowed = borrowed_.fetch_add(1) + 1;
    if (handles_.load() == borrowed && held_ && registry.let_go(*this)) punch();
}

inline void shared_mapping::unborrow() noexcept {
    std::lock_guard const lock(shared_registry::get().mutex_);
    borrowed_.fetch_sub(1);
}

inline void shared_mapping::hold_copies() noexcept {
    auto& registry = shared_registry::get();
    std::lock_guard const lock(registry.mutex_);
    if (handles_.load() > borrowed_.load()) registry.hold(*this);
}

inline void shared_registry::last_release(shared_mapping& mapping) noexcept {
    std::unique_ptr<shared_mapping> going;
    bool pages = false;
    {
        std::lock_guard const lock(mutex_);
        auto const left =
            mapping.handles_.fetch_sub(1, std::memory_order_acq_rel) - 1;  // [mapping] with release
        if (left > mapping.borrowed_.load()) return;  // somebody got a handle meanwhile
        bool const last = mapping.held_ && let_go(mapping);
        if (left != 0) {
            if (last) mapping.punch();
            return;
        }
        if (last) {
            pages = true;  // others may still have it mapped
            going = leave(mapping);
            if (going->made_here_ && going->writable_) going = keep_spare(std::move(going));
        } else if (most_idle_ != 0 && !mapping.made_here_) {
            idle_.push_back(&mapping);
            if (idle_.size() > most_idle_) going = oldest_idle();
        } else {
            going = leave(mapping);
        }
    }
    // To unmap gigabytes takes a while: not under the lock.
    if (pages && going) going->punch();
}

inline shared_mapping* shared_registry::find(std::uint64_t id, bool writable) noexcept {
    shared_mapping* other = nullptr;
    for (auto* m = first_[id % buckets]; m; m = m->next_) {
        if (m->id_ != id) continue;
        if (m->writable_ == writable) return m;
        // A view of what may be written here anyway.
        if (m->writable_ && (m->made_here_ || m->handles_.load() != 0)) other = m;
    }
    return other;
}

inline shared_mapping& shared_registry::enter(std::unique_ptr<shared_mapping> mapping) noexcept {
    auto& first = first_[mapping->id_ % buckets];
    mapping->next_ = first;
    first = mapping.release();
    return *first;
}

/// Out of the list.
inline std::unique_ptr<shared_mapping> shared_registry::leave(shared_mapping& mapping) noexcept {
    auto** place = &first_[mapping.id_ % buckets];
    while (*place != &mapping) place = &(*place)->next_;
    *place = mapping.next_;
    return std::unique_ptr<shared_mapping>(&mapping);
}

/// One handle more.
inline mapping_ref shared_registry::use(shared_mapping& mapping) noexcept {
    if (mapping.handles_.fetch_add(1) == 0) std::erase(idle_, &mapping);
    hold(mapping);
    return mapping_ref(&mapping);
}

inline void shared_registry::hold(shared_mapping& mapping) noexcept {
    if (mapping.held_ || !mapping.counted_) return;
    mapping.held_ = true;
    mapping.place_ = mapping.words().hold(pid_);
}

/// True: no process holds it any more, so it is dead.
inline bool shared_registry::let_go(shared_mapping& mapping) noexcept {
    mapping.held_ = false;
    auto& words = mapping.words();
    bool last = words.let_go(mapping.place_, pid_);
    if (!last && mapping.made_here_) last = words.forget_the_dead();
    if (last) words.id.store(0);
    return last;
}

inline std::unique_ptr<shared_mapping> shared_registry::oldest_idle() noexcept {
    auto& oldest = *idle_.front();
    idle_.erase(idle_.begin());
    return leave(oldest);
}

inline void shared_registry::drop_dead_idle() noexcept {
    std::erase_if(idle_, [&](shared_mapping* m) {
        bool const dead = m->words().id.load() != m->id_;
        if (dead) leave(*m);
        return dead;
    });
}

}  // namespace concur::inline v0::detail

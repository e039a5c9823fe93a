// SPDX-License-Identifier: BSL-1.0
// Memory for task nodes: blocks of 64, 128 or 256 bytes from a list of the calling thread, so that
// a task costs no malloc (which alone would make a task four times as dear). Blocks that other
// threads give back return in chains. Any thread, also while its thread-locals are being destroyed.
// Cost: a few instructions; each 64th block may take the lock of the shared store.
#pragma once

#include <memory>
#include <mutex>
#include <new>
#include <string>  // brings std::max, for which <algorithm> costs 9,000 lines more
#include <utility>

#include <concur/detail/base/config.hpp>
#include <concur/detail/base/linux.hpp>

namespace concur::inline v0::detail {

struct free_block {
    free_block* next;
    free_block* next_chain;  // meaningful in the first block of a chain
    std::size_t length;      // likewise
};

/// The blocks of one size that no thread holds, in chains. It is never destroyed: futures may
/// outlive static destructors.
class block_store {
public:
    static constexpr std::size_t slab_bytes = 64 * 1024;
    static constexpr std::size_t keep_bytes = 128u << 20;  // above: give whole slabs back

    explicit block_store(std::size_t block_bytes) : block_bytes_(block_bytes) {}

    /// A chain, or null.
    free_block* take_chain() noexcept {
        std::unique_lock const lock = hold();
        if (!lock || !chains_) return nullptr;
        free_block* const chain = chains_;
        chains_ = chain->next_chain;
        blocks_ -= chain->length;
        return chain;
    }

    void give_chain(free_block* chain, std::size_t length) noexcept {
        std::unique_lock const lock = hold();
        if (!lock) return;  // lost: see hold()
        add_chain(chain, length);
        if (blocks_ > trim_above_) trim_locked();
    }

    /// Gives back every slab of which all blocks are here.
    void trim() noexcept {
        if (std::unique_lock const lock = hold()) trim_locked();
    }

private:
    /// In a child of fork() a thread that is not there may hold the lock: then nothing is held, and
    /// blocks are neither taken nor given.
    std::unique_lock<std::mutex> hold() noexcept {
        if (!forked_since(0)) return std::unique_lock(mutex_);
        return std::unique_lock(mutex_, std::try_to_lock);
    }

    void add_chain(free_block* chain, std::size_t length) noexcept {
        chain->length = length;
        chain->next_chain = chains_;
        chains_ = chain;
        blocks_ += length;
    }

    template <class Visit>
    static void each_block(free_block* chain, Visit&& visit) {
        while (chain) {
            free_block* const next_chain = chain->next_chain;
            for (free_block* block = chain; block;) visit(*std::exchange(block, block->next));
            chain = next_chain;
        }
    }

    /// How many blocks of each slab are here: open addressing by the slab's address.
    class slab_counts {
    public:
        explicit slab_counts(std::size_t slabs) {
            while (size_ < 2 * slabs) size_ *= 2;
            entries_.reset(new (std::nothrow) entry[size_]{});
        }
        explicit operator bool() const noexcept { return entries_ != nullptr; }
        std::size_t& of(free_block& block) noexcept {
            auto const slab = reinterpret_cast<std::uintptr_t>(&block) / slab_bytes;
            auto i = slab & (size_ - 1);
            while (entries_[i].slab != 0 && entries_[i].slab != slab) i = (i + 1) & (size_ - 1);
            entries_[i].slab = slab;
            return entries_[i].blocks;
        }

    private:
        struct entry {
            std::uintptr_t slab;
            std::size_t blocks;
        };
        std::size_t size_ = 16;
        std::unique_ptr<entry[]> entries_;
    };

    [[gnu::cold]] void trim_locked() noexcept {
        std::size_t slabs = 0;  // at most: each block its own
        each_block(chains_, [&](free_block&) { ++slabs; });
        slab_counts counts(slabs);
        if (!counts) {
            trim_above_ = blocks_ * 2;
            return;
        }
        each_block(chains_, [&](free_block& block) { ++counts.of(block); });
        free_block* const before = std::exchange(chains_, nullptr);
        blocks_ = 0;
        free_block* kept = nullptr;
        std::size_t length = 0;
        free_block* whole = nullptr;  // one block of each slab that goes
        constexpr auto listed = ~std::size_t{0};
        each_block(before, [&](free_block& block) {
            auto& count = counts.of(block);
            if (count == slab_bytes / block_bytes_) {
                count = listed;
                block.next_chain = std::exchange(whole, &block);
            } else if (count != listed) {
                block.next = std::exchange(kept, &block);
                if (++length == 64) {
                    add_chain(std::exchange(kept, nullptr), std::exchange(length, 0));
                }
            }
        });
        if (kept) add_chain(kept, length);
        while (whole) {
            free_block* const block = std::exchange(whole, whole->next_chain);
            auto const address = reinterpret_cast<std::uintptr_t>(block);
            unmap_aligned(reinterpret_cast<void*>(address / slab_bytes * slab_bytes), slab_bytes);
        }
        trim_above_ = std::max(keep_bytes / block_bytes_, blocks_ * 2);
    }

    std::size_t const block_bytes_;
    std::mutex mutex_;
    free_block* chains_ = nullptr;
    std::size_t blocks_ = 0;
    std::size_t trim_above_ = keep_bytes / block_bytes_;
};

// Three kinds for tasks, whole cache lines each; behind them those for coroutine frames, 96 to 512
// bytes in steps of 32, for a loop may hold a million frames.
inline constexpr std::size_t node_kinds = 3;
inline constexpr std::size_t frame_step = 32;
inline constexpr std::size_t largest_frame = 512;
inline constexpr std::size_t block_kinds = node_kinds + (largest_frame - cache_line) / frame_step;
constexpr std::size_t block_size(std::size_t kind) noexcept {
    return kind < node_kinds ? cache_line << kind
                             : cache_line + (kind - node_kinds + 1) * frame_step;
}

inline block_store& store_of(std::size_t kind) {
    // Leaked on purpose: see block_store.
    static auto* const stores = [] {
        auto* const all = static_cast<block_store*>(::operator new(
            sizeof(block_store) * block_kinds, std::align_val_t{alignof(block_store)}));
        for (std::size_t k = 0; k < block_kinds; ++k) ::new (all + k) block_store(block_size(k));
        return all;
    }();
    return stores[kind];
}

/// One thread's blocks of one size: two lists of about 64, so that a thread at the border between
/// full and empty does not go to the store each time, and the rest of its newest slab.
struct local_blocks {
    static constexpr std::size_t chain_length = 64;

    free_block* list;
    free_block* spare;  // null, or at least a full chain
    char* fresh;
    char* fresh_end;
    std::size_t length;
    std::size_t spare_length;

    void* take(std::size_t kind) {
        if (!list) {
            if (spare) {
                list = spare;
                spare = nullptr;
                length = spare_length;
            } else if (fresh != fresh_end || !refill(kind)) {
                return take_fresh(kind);
            }
        }
        free_block* const block = list;
        list = block->next;
        --length;
        return block;
    }

    void give(void* memory, std::size_t kind) noexcept {
        if (length >= chain_length) {
            if (!spare) {
                spare = list;
                spare_length = length;
                list = nullptr;
                length = 0;
            } else {
                store_of(kind).give_chain(std::exchange(list, nullptr), std::exchange(length, 0));
            }
        }
        auto* const block = ::new (memory) free_block{list, nullptr, 0};
        list = block;
        ++length;
    }

    [[gnu::cold]] void give_all_back(std::size_t kind) noexcept {
        auto& store = store_of(kind);
        while (fresh != fresh_end) {
            give(fresh, kind);
            fresh += block_size(kind);
        }
        if (list) store.give_chain(list, length);
        if (spare) store.give_chain(spare, spare_length);
        list = spare = nullptr;
        length = 0;
    }

private:
    bool refill(std::size_t kind) noexcept {
        list = store_of(kind).take_chain();
        if (!list) return false;
        length = list->length;
        return true;
    }

    void* take_fresh(std::size_t kind) {
        if (fresh == fresh_end) {
            fresh = map_aligned(block_store::slab_bytes);
            fresh_end = fresh + block_store::slab_bytes / block_size(kind) * block_size(kind);
        }
        void* const block = fresh;
        fresh += block_size(kind);
        return block;
    }
};

// Trivial and constant-initialised: reading it is one instruction, and it is still there while
// other thread-locals are destroyed. Its watcher gives the blocks back when the thread ends; blocks
// that come later stay with the thread and are lost, a handful at most.
struct thread_blocks {
    local_blocks of[block_kinds];
    bool watched;
};
CONCUR_API inline constinit thread_local thread_blocks this_thread_blocks{};

struct thread_blocks_watcher {
    ~thread_blocks_watcher() {
        for (std::size_t kind = 0; kind < block_kinds; ++kind) {
            this_thread_blocks.of[kind].give_all_back(kind);
        }
    }
};

inline void watch_thread_blocks() {
    thread_local thread_blocks_watcher const watcher;
    static_cast<void>(watcher);
    this_thread_blocks.watched = true;
}

inline local_blocks& blocks_of_this_thread(std::size_t kind) {
    auto& blocks = this_thread_blocks;
    if (!blocks.watched) [[unlikely]] {
        watch_thread_blocks();
    }
    return blocks.of[kind];
}

/// The kind of block that holds `bytes`; node_kinds when none does.
constexpr std::size_t block_kind(std::size_t bytes) noexcept {
    std::size_t kind = 0;
    while (kind < node_kinds && block_size(kind) < bytes) ++kind;
    return kind;
}

constexpr std::size_t frame_kind(std::size_t bytes) noexcept {
    return bytes <= cache_line ? 0 : node_kinds + (bytes - cache_line - 1) / frame_step;
}

/// Memory for a coroutine frame, or anything else whose alignment is that of malloc.
inline void* allocate_frame(std::size_t bytes) {
    if (!recycle_nodes || bytes > largest_frame) return ::operator new(bytes);
    auto const kind = frame_kind(bytes);
    return blocks_of_this_thread(kind).take(kind);
}

inline void deallocate_frame(void* memory, std::size_t bytes) noexcept {
    if (!recycle_nodes || bytes > largest_frame) return ::operator delete(memory);
    auto const kind = frame_kind(bytes);
    blocks_of_this_thread(kind).give(memory, kind);
}

/// Memory for an object of this size and alignment. Throws std::bad_alloc.
template <std::size_t Bytes, std::size_t Alignment>
void* allocate_node() {
    constexpr auto kind = block_kind(Bytes);
    if constexpr (!recycle_nodes || kind == node_kinds || Alignment > cache_line) {
        return ::operator new(Bytes, std::align_val_t{Alignment});
    } else {
        return blocks_of_this_thread(kind).take(kind);
    }
}

template <std::size_t Bytes, std::size_t Alignment>
void deallocate_node(void* memory) noexcept {
    constexpr auto kind = block_kind(Bytes);
    if constexpr (!recycle_nodes || kind == node_kinds || Alignment > cache_line) {
        ::operator delete(memory, std::align_val_t{Alignment});
    } else {
        blocks_of_this_thread(kind).give(memory, kind);
    }
}

}  // namespace concur::inline v0::detail

namespace concur::inline v0 {

/// Gives the memory of finished tasks that is kept for the next ones back to the system, as far as
/// whole slabs of 64 KiB are unused. Without a call, up to 128 MiB per block size are kept.
///
/// Threads   any.
inline void trim_memory() noexcept {
    for (std::size_t kind = 0; kind < detail::block_kinds; ++kind) detail::store_of(kind).trim();
}

}  // namespace concur::inline v0

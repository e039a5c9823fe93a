// SPDX-License-Identifier: BSL-1.0
// Who may use which bytes of a segment. An arena keeps its books in private memory of the one
// process that allocates from it, so that nobody's death can damage them; a reply_arena gets its
// blocks back from another process. Cost: a few ns for small blocks, O(log n) else. One thread.
#pragma once

#include <atomic>
#include <cassert>
#include <iterator>
#include <map>
#include <new>
#include <set>
#include <utility>
#include <vector>

#include <concur/detail/base/chaos.hpp>
#include <concur/detail/base/config.hpp>

namespace concur::inline v0::detail {

/// Ranges of [0, size), at multiples of 64. Takes what was used before rather than fresh memory: a
/// page that was touched is worth 2 us.
class arena {
public:
    static constexpr std::uint64_t none = ~std::uint64_t{0};

    arena() = default;
    explicit arena(std::uint64_t size) : size_(size / unit * unit) {
        if (size_ != 0) add_free(0, size_);
    }

    /// The offset of a range, or none. Throws std::bad_alloc when the books cannot grow.
    std::uint64_t try_allocate(std::uint64_t bytes) {
        if (bytes > size_) return none;
        auto const length = rounded(bytes);
        auto const offset =
            length <= small_limit ? allocate_small(length) : allocate_large(length, true);
        if (offset != none) in_use_ += length;
        return offset;
    }

    /// The offset of a range. Throws std::bad_alloc when there is none.
    std::uint64_t allocate(std::uint64_t bytes) {
        auto const offset = try_allocate(bytes);
        if (offset == none) throw std::bad_alloc();
        return offset;
    }

    /// `bytes` must be what was asked for.
    void free(std::uint64_t offset, std::uint64_t bytes) noexcept {
        auto const length = rounded(bytes);
        assert(offset % unit == 0 && offset + length <= size_ && length <= in_use_);
        in_use_ -= length;
        try {
            if (length > small_limit) return add_free(offset, length);
            small_[length / unit - 1].push_back(offset);
        } catch (std::bad_alloc const&) {  // the books cannot grow: never used again, but counted
            lost_ += length;
            return;
        }
        small_bytes_ += length;
        if (small_bytes_ <= small_keep) return;
        try {
            merge_small();
        } catch (std::bad_alloc const&) {  // what is not merged yet is still in its list
        }
    }

    std::uint64_t size() const noexcept { return size_; }
    std::uint64_t bytes_in_use() const noexcept { return in_use_; }
    std::uint64_t bytes_lost() const noexcept { return lost_; }

private:
    static constexpr std::uint64_t unit = cache_line;
    static constexpr std::uint64_t small_limit = 4096;     // up to here: lists by length
    static constexpr std::uint64_t small_keep = 4u << 20;  // above: merge what they hold
    static constexpr std::uint64_t small_batch = 16384;    // cut into small blocks at once

    static constexpr std::uint64_t rounded(std::uint64_t bytes) noexcept {
        return bytes == 0 ? unit : (bytes + unit - 1) / unit * unit;
    }

    /// Last in, first out: the newest is still in the cache.
    std::uint64_t allocate_small(std::uint64_t length) {
        auto& list = small_[length / unit - 1];
        if (list.empty()) {
            auto const count = small_batch / length;
            list.reserve(count);
            auto const batch = allocate_large(count * length, false);
            if (batch == none) return allocate_large(length, true);
            for (auto i = count; i-- > 0;) list.push_back(batch + i * length);
            small_bytes_ += count * length;
        }
        auto const offset = list.back();
        list.pop_back();
        small_bytes_ -= length;
        return offset;
    }

    std::uint64_t allocate_large(std::uint64_t length, bool whatever_it_takes) {
        auto best = by_length_.lower_bound({length, 0});
        if (best == by_length_.end() && whatever_it_takes && small_bytes_ != 0) {
            merge_small();
            best = by_length_.lower_bound({length, 0});
        }
        if (best == by_length_.end()) return none;
        // What stays over is the upper part, in the same nodes: nothing here can throw.
        auto const [whole, offset] = *best;
        auto by_length = by_length_.extract(best);
        auto by_offset = by_offset_.extract(offset);
        if (whole != length) {
            by_length.value() = {whole - length, offset + length};
            by_offset.key() = offset + length;
            by_offset.mapped() = whole - length;
            by_length_.insert(std::move(by_length));
            by_offset_.insert(std::move(by_offset));
        }
        return offset;
    }

    /// Adds a free range, joined with its neighbours. Throws std::bad_alloc before any change.
    void add_free(std::uint64_t offset, std::uint64_t length) {
        auto after = by_offset_.lower_bound(offset);
        assert(after == by_offset_.end() || offset + length <= after->first);  // freed twice?
        bool const joins_after = after != by_offset_.end() && after->first == offset + length;
        auto before = after == by_offset_.begin() ? by_offset_.end() : std::prev(after);
        assert(before == by_offset_.end() || before->first + before->second <= offset);
        if (before != by_offset_.end() && before->first + before->second == offset) {
            auto const further = joins_after ? after->second : 0;
            if (joins_after) {
                by_length_.erase({after->second, after->first});
                by_offset_.erase(after);
            }
            change_length(before, before->second + length + further);
        } else if (joins_after) {
            auto const longer = after->second + length;
            auto by_length = by_length_.extract({after->second, after->first});
            auto by_offset = by_offset_.extract(after);
            by_length.value() = {longer, offset};
            by_offset.key() = offset;
            by_offset.mapped() = longer;
            by_length_.insert(std::move(by_length));
            by_offset_.insert(std::move(by_offset));
        } else {
            auto const added = by_length_.insert({length, offset}).first;
            try {
                by_offset_.emplace_hint(after, offset, length);
            } catch (...) {
                by_length_.erase(added);
                throw;
            }
        }
    }

    void change_length(std::map<std::uint64_t, std::uint64_t>::iterator range,
                       std::uint64_t length) {
        auto by_length = by_length_.extract({range->second, range->first});
        by_length.value().first = length;
        by_length_.insert(std::move(by_length));
        range->second = length;
    }

    void merge_small() {
        for (std::uint64_t i = 0; i < small_limit / unit; ++i) {
            auto const length = (i + 1) * unit;
            for (auto& list = small_[i]; !list.empty(); list.pop_back()) {
                add_free(list.back(), length);
                small_bytes_ -= length;
            }
        }
    }

    std::uint64_t size_ = 0;
    std::uint64_t in_use_ = 0;
    std::uint64_t lost_ = 0;
    std::uint64_t small_bytes_ = 0;
    std::map<std::uint64_t, std::uint64_t> by_offset_;             // free ranges: offset, length
    std::set<std::pair<std::uint64_t, std::uint64_t>> by_length_;  // the same: length, offset
    std::vector<std::uint64_t> small_[small_limit / unit];         // free blocks of one length
};

// Protocol [returns] - a worker allocates blocks for its replies, the pool gives them back.
//
//   returned        offset of the newest returned block; its header names the one before; 0: none
//   block header    the worker's until its reply is published, then the pool's until given back
//
// Invariant  the list only grows by one block (CAS, any thread of any process) or is taken whole
//            (exchange, the worker): no removal in the middle, so no ABA.
// Order      give back: header before returned (release), with collect() (acquire): so whoever
//            read the block has done so before it is used again. next is atomic for
//            ThreadSanitizer only, which does not see the worker between two givers of a block.
// Death      of the worker: its books are gone, blocks that the pool still reads are not. The
//            successor gets another region; the pool frees the old one when it has given back
//            every block of it. Of a giver between two steps: one block is not used again.
struct alignas(cache_line) reply_block_header {
    std::atomic<std::uint64_t> next;  // offset of the block that was returned before
    std::uint64_t bytes;              // of the block, with this header
};

struct alignas(cache_line) reply_region_header {
    std::atomic<std::uint64_t> returned;
};

static_assert(sizeof(reply_block_header) == cache_line);
static_assert(sizeof(reply_region_header) == cache_line);

/// Any process: gives back the block at `offset`, as allocate() gave it, of the region that starts
/// at `region`. Never blocks.
inline void give_back_reply(std::byte* region, std::uint64_t offset) noexcept {
    auto& list = reinterpret_cast<reply_region_header*>(region)->returned;
    auto const block = offset - sizeof(reply_block_header);
    auto& header = *reinterpret_cast<reply_block_header*>(region + block);
    auto newest = list.load(std::memory_order_relaxed);  // [returns] CAS validates
    do {
        header.next.store(newest, std::memory_order_relaxed);  // [returns] before the CAS
        chaos_point();
    } while (!list.compare_exchange_weak(newest, block,
                                         std::memory_order_release,  // [returns] with collect()
                                         std::memory_order_relaxed));  // [returns] tries again
}

/// The worker's memory for large replies: a region of the segment that starts with zeroed memory.
/// Offsets count from the start of the region and are never 0.
class reply_arena {
public:
    static constexpr std::uint64_t none = arena::none;

    reply_arena(std::byte* region, std::uint64_t bytes)
        : region_(region), books_(bytes < first ? 0 : bytes - first) {}

    /// The offset of so many bytes, or none: the pool must give something back first.
    std::uint64_t try_allocate(std::uint64_t bytes) {
        if (bytes > books_.size()) return none;
        collect();
        auto const whole = bytes + sizeof(reply_block_header);
        auto const offset = books_.try_allocate(whole);
        if (offset == none) return none;
        ::new (region_ + first + offset) reply_block_header{0, whole};
        return first + offset + sizeof(reply_block_header);
    }

    /// Worker: for a block that was not sent.
    void free(std::uint64_t offset) noexcept { release(offset - sizeof(reply_block_header)); }

    /// What is not given back yet.
    std::uint64_t bytes_in_use() noexcept {
        collect();
        return books_.bytes_in_use();
    }

private:
    static constexpr std::uint64_t first = sizeof(reply_region_header);

    void collect() noexcept {
        auto& list = reinterpret_cast<reply_region_header*>(region_)->returned;
        if (list.load(std::memory_order_relaxed) == 0) return;     // [returns] only a hint
        auto block = list.exchange(0, std::memory_order_acquire);  // [returns] give_back_reply()
        while (block != 0) {
            auto const before = header_of(block).next.load(std::memory_order_relaxed);  // [returns]
            release(block);
            block = before;
        }
    }

    reply_block_header& header_of(std::uint64_t block) noexcept {
        return *reinterpret_cast<reply_block_header*>(region_ + block);
    }
    void release(std::uint64_t block) noexcept {
        books_.free(block - first, header_of(block).bytes);
    }

    std::byte* region_;
    arena books_;
};

}  // namespace concur::inline v0::detail

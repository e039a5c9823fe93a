// SPDX-License-Identifier: BSL-1.0
// A call and its reply on their way between two processes of the same program: what stands in a
// slot, and what in a block of memory that both see. Executors bring the slots and the blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include <concur/codec.hpp>
#include <concur/detail/shared/carrier.hpp>
#include <concur/detail/task/remote_core.hpp>

namespace concur::inline v0::detail {

/// What a call is, in a slot of 64 bytes together with the slot's own word.
struct call_frame {
    static constexpr std::size_t inline_bytes = 40;
    enum : std::uint16_t {
        in_block = 1,  ///< the payload is a block_place: call_header, name, arguments
        chunk = 2,     ///< several items of a map
        quit = 4,      ///< no call: the worker ends
        begun = 8      ///< a worker that ran it has died
    };

    std::uint64_t function = 0;  ///< the call_entry
    std::uint16_t bytes = 0;
    std::uint16_t kind = 0;
    std::uint32_t order = 0;  ///< in which it became ready; wraps around
    std::byte payload[inline_bytes];
    /// Of this process: the shared memory whose handles are in the call; null: none.
    pin_list* pins = nullptr;
};

/// A block of allocate_block(), as a frame names it.
struct block_place {
    std::uint64_t offset;
    std::uint64_t bytes;
};

/// In front of the arguments in a block.
struct alignas(64) call_header {
    std::uint64_t bytes = 0;  ///< of the arguments
    std::uint64_t seed = 0;
    std::uint64_t first = 0;        ///< position of the first item
    std::uint64_t function_id = 0;  ///< of a map's function, which each worker decodes once
    std::uint64_t function_at = 0;  ///< its block
    std::uint64_t function_bytes = 0;
    std::uint32_t items = 0;
    std::uint32_t skip = 0;  ///< items in front that have been seen to
    std::int32_t attempt = 1;
    std::uint32_t name_bytes = 0;
    bool seeded = false;
    bool timed = false;  ///< the worker notes when it starts

    static constexpr std::size_t padded(std::size_t bytes) noexcept {
        return (bytes + 63) / 64 * 64;
    }
    std::size_t arguments_at() const noexcept { return sizeof(call_header) + padded(name_bytes); }
    std::string name() const {
        return std::string(reinterpret_cast<char const*>(this + 1), name_bytes);
    }
    std::byte const* arguments() const noexcept {
        return reinterpret_cast<std::byte const*>(this) + arguments_at();
    }
};
static_assert(sizeof(call_header) == 128);

/// Where a call is written to: the frame when it is short and plain, else a block.
class call_writer {
public:
    call_writer(remote_core& core, call_frame& frame) : core_(core), frame_(frame) {}
    call_writer(call_writer const&) = delete;
    call_writer& operator=(call_writer const&) = delete;
    ~call_writer() {
        if (block_) core_.free_block(place_);
    }

    /// Room for the arguments, aligned to 8 at least and to 64 in a block. Throws std::bad_alloc.
    std::byte* room(std::size_t bytes, call_header const* options = nullptr,
                    std::string const* name = nullptr) {
        if (!options && bytes <= call_frame::inline_bytes) {
            frame_.bytes = static_cast<std::uint16_t>(bytes);
            return frame_.payload;
        }
        call_header header = options ? *options : call_header{};
        header.bytes = bytes;
        header.name_bytes = name ? static_cast<std::uint32_t>(name->size()) : 0;
        block_ = core_.allocate_block(header.arguments_at() + bytes, place_);
        std::memcpy(block_, &header, sizeof header);
        if (name) std::memcpy(block_ + sizeof header, name->data(), name->size());
        frame_.kind |= call_frame::in_block;
        frame_.bytes = sizeof place_;
        std::memcpy(frame_.payload, &place_, sizeof place_);
        return block_ + header.arguments_at();
    }

    /// The call is whole: the block stays.
    void done() noexcept { block_ = nullptr; }

private:
    remote_core& core_;
    call_frame& frame_;
    std::byte* block_ = nullptr;
    block_place place_{};
};

/// The block of a frame; only where kind says that there is one.
inline block_place block_of(call_frame const& frame) noexcept {
    block_place place;
    std::memcpy(&place, frame.payload, sizeof place);
    return place;
}

enum class reply_kind : std::uint32_t { value = 0, exception = 1, items = 2 };

/// A reply as the parent reads it; the bytes begin at a multiple of 16, or of 64 in a block.
struct reply_view {
    reply_kind kind;
    int pid;
    std::byte const* data;
    std::size_t bytes;
    std::size_t items = 0;  ///< how many there are, of a chunk
    duration took{};        ///< by a chunk
};

constexpr std::size_t aligned_up(std::size_t at, std::size_t alignment) noexcept {
    return (at + alignment - 1) / alignment * alignment;
}

class incoming_call;

/// How a remote task travels: a table per type, behind state_ops.
struct remote_ops {
    void (*entry)(incoming_call&);  ///< what the worker calls
    /// Writes the call but for its function; throws what the codec throws. Afterwards the callable
    /// is gone, unless keeps_call.
    void (*encode)(state&, remote_core&, call_frame&);
    /// The task is away: takes the reply, counts and publishes.
    void (*complete)(state&, reply_view const&) noexcept;
    /// Of a chunk whose worker died or ran late: takes what is there of the reply, and the problem
    /// as the outcome of the item behind it unless that is null.
    void (*partial)(state&, reply_view const&, std::exception_ptr const&) noexcept;
    /// Ends it with an exception instead. Null: complete_with_problem().
    void (*fail)(state&, std::exception_ptr const&) noexcept;
    call_frame& (*frame)(state&) noexcept;  ///< where the call stands until it is sent off
    bool keeps_call;
};

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// What handles to shared memory have in common: how they travel.
#pragma once

#include <concur/detail/codec/archive.hpp>
#include <concur/detail/shared/carrier.hpp>
#include <concur/detail/shared/layout.hpp>

namespace concur::inline v0::detail {

/// The handle in a message; `count` and `layout` say what it is a handle to.
inline shared_image image_of(mapping_ref const& memory, std::size_t count, std::uint32_t layout,
                             bool writable) {
    if (!memory) return {};
    if (this_thread_carrier) this_thread_carrier->carry(*memory);
    return {memory->id(), count, shared_registry::get().pid(), memory->fd(), layout, writable};
}

[[noreturn, gnu::cold]] inline void throw_other_layout() {
    throw codec_error(
        "a handle to shared memory does not fit its memory: it was made for another element type "
        "or size");
}

/// The memory of such a handle; null for an empty array. Throws codec_error.
inline mapping_ref memory_of(shared_image const& image, std::size_t element, std::uint32_t layout,
                             bool writable) {
    if (image.id == 0) {
        if (image.count != 0) throw_other_layout();
        return {};
    }
    if (image.layout != layout || (image.writable != 0) != writable) throw_other_layout();
    auto memory = shared_registry::get().attach(image);
    if (image.count > memory->bytes() / element) throw_other_layout();
    if (this_thread_receiver) this_thread_receiver->arrived(*memory);
    return memory;
}

/// serialize() of a handle: memory, and how many elements.
template <class Archive>
void serialize_handle(Archive& archive, mapping_ref& memory, std::size_t& count,
                      std::size_t element, std::uint32_t layout, bool writable) {
    shared_image image;
    if constexpr (Archive::is_loading::value) {
        archive(image);
        memory = memory_of(image, element, layout, writable);
        count = static_cast<std::size_t>(image.count);
    } else {
        // Told once: whoever measures does not keep what is written.
        if constexpr (!std::is_same_v<Archive, size_pass>) {
            image = image_of(memory, count, layout, writable);
        }
        archive(image);
    }
}

}  // namespace concur::inline v0::detail

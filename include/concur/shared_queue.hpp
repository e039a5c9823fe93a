// SPDX-License-Identifier: BSL-1.0
// shared_queue: a bounded queue between processes, which nobody can leave in disorder, also by
// being killed. Copies are handles to the same queue; they cross to the tasks of any executor.
#pragma once

#include <concepts>
#include <optional>
#include <stdexcept>
#include <type_traits>

#include <concur/codec.hpp>
#include <concur/detail/base/text.hpp>
#include <concur/detail/ipc/queue.hpp>
#include <concur/detail/shared/handle.hpp>

namespace concur::inline v0 {

/// `shared_queue<job> q(1000); pool.submit(produce, q); while (auto j = q.try_pop()) ...`
///
/// T       trivially copyable, without addresses, of any size; it is copied in and out.
/// Order   first in, first out, for everybody who pushes and pops: linearizable.
/// Death   any process may be killed at any instruction, or stopped: it holds up nobody. An item
///         whose try_push() returned true comes out once, whole, unless the process that popped it
///         died. One whose try_push() was killed comes out once, whole, or never. Room that a
///         killed process had in its hands is found again when it is needed.
/// Threads every member from any thread of any process, also of a fork; handles are as thread-safe
///         as std::shared_ptr, and a constant one pushes and pops as well. After it was moved from,
///         a handle can only be assigned to or destroyed.
/// Waiting is yours: no member sleeps. For a task that has nothing else to do:
///         `while (!q.try_push(x)) std::this_thread::yield();`
/// Memory  per item sizeof(T) + 24 bytes, rounded up to 32 or to a multiple of 64, and 8; besides
///         it, as much as 8 to 64 items. Pages only as they are touched. It goes with the last
///         handle in the last process.
/// Hazard  all processes must be able to see each other's process ids (one pid namespace): one that
///         is not seen is taken for dead.
template <class T>
class shared_queue {
    static constexpr bool fits = detail::plain_type<T>() && !std::is_const_v<T> &&
                                 !std::is_volatile_v<T> && !std::is_array_v<T>;
    static_assert(fits,
                  "concur: the items of a shared_queue are seen by several processes, so they must "
                  "be trivially copyable and hold no address (no pointer, reference, string or "
                  "vector)");

public:
    using value_type = T;

    /// An empty queue for so many items. Touches no page of theirs; some us whatever the capacity.
    ///
    /// Throws  std::invalid_argument for a capacity below 1 or above 16,777,152; std::length_error
    ///         when no address could count the bytes; std::system_error when so much memory is not
    ///         to be had: it says how much is missing.
    template <std::integral N>
    explicit shared_queue(N capacity) {
        if (capacity < 1 || static_cast<unsigned long long>(capacity) > most) {
            throw std::invalid_argument(
                detail::text("shared_queue: a capacity of %s%llu; it must be from 1 to %u items",
                             capacity < 0 ? "-" : "",
                             capacity < 0 ? 0ull - static_cast<unsigned long long>(capacity)
                                          : static_cast<unsigned long long>(capacity),
                             most));
        }
        detail::queue_shape const shape(static_cast<std::uint32_t>(capacity), sizeof(T));
        if (shape.bytes() > static_cast<std::size_t>(PTRDIFF_MAX)) {
            throw std::length_error(detail::text(
                "shared_queue: %u items of %zu bytes are more than an address space has",
                shape.capacity, sizeof(T)));
        }
        memory_ = detail::shared_registry::get().create("shared_queue", shape.bytes(), true);
        reinterpret_cast<detail::queue_memory*>(memory_->data())->capacity = shape.capacity;
        queue_ = {memory_->data(), shape.capacity};
    }

    /// False: full. (Or 8 to 64 others, depending on sizeof(T), stand still in the middle of a
    /// try_push() and are alive.) Never blocks. About 50 ns, and 1 ns more for each 8 bytes of T;
    /// after kills, once for 8 or more of them, some ns for each place.
    [[nodiscard]] bool try_push(T const& item) const noexcept { return queue_.push(item); }

    /// The oldest item; nothing when there is none. Never blocks. About 25 ns, and as above.
    [[nodiscard]] std::optional<T> try_pop() const noexcept { return queue_.pop(); }

    /// How many items there are; of a moment ago while others push and pop. Some ns.
    std::size_t size() const noexcept { return queue_.size(); }
    bool empty() const noexcept { return size() == 0; }
    std::size_t capacity() const noexcept { return queue_.shape().capacity; }

    /// Whether both are handles to the same queue, in one process.
    friend bool operator==(shared_queue const& a, shared_queue const& b) noexcept {
        return a.queue_.same_as(b.queue_);
    }

private:
    static constexpr std::uint32_t most = detail::queue_shape::most_items;

    friend class access;
    struct unread {};
    explicit shared_queue(unread) noexcept {}
    static shared_queue concur_unread() noexcept { return shared_queue(unread{}); }

    template <class Archive>
    void serialize(Archive& archive) {
        constexpr auto layout = detail::mixed(detail::shared_layout<T>, 'q');
        std::size_t items = capacity();
        detail::serialize_handle(archive, memory_, items, 1, layout, true);
        if constexpr (Archive::is_loading::value) {
            if (!memory_ || items < 1 || items > most) detail::throw_other_layout();
            detail::queue_shape const shape(static_cast<std::uint32_t>(items), sizeof(T));
            auto const* found = reinterpret_cast<detail::queue_memory const*>(memory_->data());
            if (shape.bytes() > memory_->bytes() || found->capacity != items) {
                detail::throw_other_layout();
            }
            queue_ = {memory_->data(), shape.capacity};
        }
    }

    detail::mapping_ref memory_;
    mutable detail::typed_queue_view<T> queue_;  // a view is shallow, like the handle
};

}  // namespace concur::inline v0

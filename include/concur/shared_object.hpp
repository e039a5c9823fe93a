// SPDX-License-Identifier: BSL-1.0
// shared_object: one object that every process sees, built in place. Copies are handles to the same
// object; they cross to the tasks of any executor, and the object stays where it is.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include <concur/codec.hpp>
#include <concur/detail/shared/handle.hpp>

namespace concur::inline v0 {

/// `shared_object<std::atomic<long>> hits(0); *hits += 1;`
///
/// T       holds no address: numbers, enums, structs and arrays of these, std::atomic of these if
///         lock-free; and Boost.Interprocess's mutexes, conditions and semaphores.
/// Ends    with the last handle in the last process, however that one ends. T's destructor never
///         runs, for a process may be killed: what has to be undone belongs in your own function.
/// Threads handles are as thread-safe as std::shared_ptr; the object as T is.
/// Cost    4 us to make, two pages and a descriptor; then what T costs.
/// Hazard  a lock in it dies with its holder: a killed worker leaves it locked for ever. Counters
///         are safe as std::atomic.
template <class T>
class shared_object {
    static constexpr bool fits = detail::shareable_object<T>();
    static_assert(
        fits,
        "concur: a shared_object is seen by several processes, so it must not hold an "
        "address (pointer, reference, string, vector, virtual function) nor a lock of one "
        "process: use numbers, std::atomic, structs of these, or "
        "boost::interprocess primitives");

public:
    using element_type = T;

    /// Builds T(args...), or T{args...} of an aggregate, in fresh shared memory.
    /// Throws  std::system_error when there is no memory; what the constructor throws.
    template <class... Args>
        requires(!(sizeof...(Args) == 1 &&
                   (std::is_same_v<std::remove_cvref_t<Args>, shared_object> || ...)))
    explicit shared_object(Args&&... args)
        : memory_(detail::shared_registry::get().create("shared_object", sizeof(T), true)) {
        void* const place = memory_->data();
        if constexpr (std::is_constructible_v<T, Args...>) {
            object_ = ::new (place) T(std::forward<Args>(args)...);
        } else {
            object_ = ::new (place) T{std::forward<Args>(args)...};
        }
    }

    T& operator*() const noexcept { return *object_; }
    T* operator->() const noexcept { return object_; }
    T* get() const noexcept { return object_; }

    friend bool operator==(shared_object const& a, shared_object const& b) noexcept {
        return a.object_ == b.object_;
    }

private:
    friend class access;
    struct unread {};
    explicit shared_object(unread) noexcept {}
    static shared_object concur_unread() noexcept { return shared_object(unread{}); }

    template <class Archive>
    void serialize(Archive& archive) {
        std::size_t one = 1;
        detail::serialize_handle(archive, memory_, one, sizeof(T), detail::shared_layout<T>, true);
        if constexpr (Archive::is_loading::value) {
            if (!memory_ || one != 1) detail::throw_other_layout();
            object_ = std::launder(reinterpret_cast<T*>(memory_->data()));
        }
    }

    detail::mapping_ref memory_;
    T* object_ = nullptr;
};

}  // namespace concur::inline v0

// SPDX-License-Identifier: BSL-1.0
// shared_array: an array that every process sees. Copies are handles to the same memory; they cross
// to the tasks of any executor and back, and the elements stay where they are. The memory goes with
// the last handle in the last process, however that process ends: nothing to unlink.
#pragma once

#include <concepts>
#include <memory>
#include <span>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <utility>

#include <concur/codec.hpp>
#include <concur/detail/shared/handle.hpp>
#include <concur/detail/shared/named.hpp>
#include <concur/shared_object.hpp>
#include <concur/shared_queue.hpp>

namespace concur::inline v0 {

/// `shared_array<float> a(n); pool.submit(f, a, i);`
///
/// T       trivially copyable, without addresses. `shared_array<T const>` is a read-only view, made
///         of a shared_array<T>: worker processes map it so that a write ends them.
/// Handles are like std::shared_ptr: cheap to copy, as thread-safe, and a constant handle still
///         refers to elements that may be written. A handle in a message (an argument under way, a
///         result that nobody has asked for) keeps the memory as well.
/// Memory  two pages and a descriptor at least, and pages only as they are touched. The process
///         that made an array keeps up to 256 MiB of what it has freed for its next ones.
/// Cost    to make one, or to see it first in a process, a few us whatever its size; each page 2 us
///         when it is touched first, unless it was used before.
/// Hazard  elements are shared like those of threads: who writes what others read needs an order
///         (a future, or std::atomic_ref).
template <class T>
class shared_array {
    using plain = std::remove_const_t<T>;
    static constexpr bool fits = detail::plain_type<plain>() && !std::is_volatile_v<T>;
    static_assert(fits,
                  "concur: the elements of a shared_array are seen by several processes, so they "
                  "must be trivially copyable and hold no address (no pointer, reference, string "
                  "or vector)");
    static constexpr bool writable = !std::is_const_v<T>;
    // So that g++ 12 does not look for members of what is refused above.
    static constexpr std::size_t step = [] {
        if constexpr (fits) return sizeof(plain);
        return std::size_t{1};
    }();

public:
    using element_type = T;
    using value_type = plain;
    using size_type = std::size_t;
    using reference = T&;
    using pointer = T*;
    using iterator = T*;

    /// Empty.
    shared_array() noexcept = default;

    /// n elements, all bytes zero. Touches no page.
    ///
    /// Throws  std::invalid_argument when n is negative, std::length_error when no address could
    ///         count them, std::system_error when so much memory is not to be had: it says how much
    ///         is missing.
    template <std::integral N>
    explicit shared_array(N n) : shared_array(checked(n), pages::zeroed) {}

    /// n copies of a value. As above.
    template <std::integral N>
    shared_array(N n, plain const& value) : shared_array(checked(n), pages::any) {
        std::uninitialized_fill_n(const_cast<plain*>(data_), size_, value);
    }

    /// The elements of a range that knows its size, or can be walked twice.
    template <std::ranges::forward_range R>
        requires(!std::is_same_v<std::remove_cvref_t<R>, shared_array> &&
                 !std::is_same_v<std::remove_cvref_t<R>, shared_array<plain>> &&
                 std::convertible_to<std::ranges::range_reference_t<R>, plain>)
    explicit shared_array(R&& range)
        : shared_array(static_cast<std::size_t>(std::ranges::distance(range)), pages::any) {
        auto* to = const_cast<plain*>(data_);
        auto* const end = to + size_;
        for (auto&& element : range) {
            if (to == end) break;
            ::new (static_cast<void*>(to++)) plain(std::forward<decltype(element)>(element));
        }
    }

    /// A read-only view of the same elements.
    template <class U>
        requires(!writable && std::is_same_v<U, plain>)
    shared_array(shared_array<U> array) noexcept
        : memory_(std::move(array.memory_)),
          data_(std::exchange(array.data_, nullptr)),
          size_(std::exchange(array.size_, 0)) {}

    shared_array(shared_array const&) noexcept = default;
    shared_array(shared_array&& other) noexcept
        : memory_(std::move(other.memory_)),
          data_(std::exchange(other.data_, nullptr)),
          size_(std::exchange(other.size_, 0)) {}
    shared_array& operator=(shared_array other) noexcept {
        std::swap(memory_, other.memory_);
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~shared_array() = default;

    /// A new array with a name, zeroed, that unrelated programs of the same user can open. Its
    /// memory, in /dev/shm, is taken at once; it lives until remove(), or the end of the machine.
    ///
    /// name    1 to 255 characters without a slash
    /// Throws  std::invalid_argument for a name that is none; std::system_error: EEXIST when there
    /// is
    ///         one by that name, ENOSPC with the bytes that are missing; as the constructors.
    /// Cost    0.6 us for each KiB: the pages are touched.
    template <std::integral N>
    static shared_array create(std::string_view name, N n)
        requires(writable)
    {
        auto const size = checked(n);
        return shared_array(detail::create_named(name, size * step, size, layout()), size);
    }

    /// The array that create() has made somewhere. `shared_array<T const>` opens it read-only.
    ///
    /// Throws  std::system_error with ENOENT when there is none by that name; codec_error when it
    /// is
    ///         no array, or one of other elements, or of another version of concur.
    /// Hazard  whoever may write to the file can also cut it: then touching it is SIGBUS.
    static shared_array open(std::string_view name) {
        auto found = detail::open_named(name, step, layout(), writable);
        return shared_array(std::move(found.memory), found.count);
    }

    /// Takes the name away; the memory goes with the last handle. False when there was none.
    static bool remove(std::string_view name) { return detail::remove_named(name); }

    T* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    T& operator[](std::size_t i) const noexcept { return data_[i]; }
    T* begin() const noexcept { return data_; }
    T* end() const noexcept { return data_ + size_; }
    std::span<T> span() const noexcept { return {data_, size_}; }

private:
    friend class access;
    template <class>
    friend class shared_array;

    static constexpr std::uint32_t layout() noexcept {
        if constexpr (fits) return detail::shared_layout<plain>;
        return 0;
    }

    template <std::integral N>
    static std::size_t checked(N n) {
        if constexpr (std::is_signed_v<N>) {
            if (n < 0) {
                throw std::invalid_argument(
                    detail::text("shared_array: %lld elements; a size cannot be negative",
                                 static_cast<long long>(n)));
            }
        }
        constexpr auto most = static_cast<std::size_t>(PTRDIFF_MAX) / step;
        if (static_cast<unsigned long long>(n) > most) {
            throw std::length_error(
                detail::text("shared_array: %llu elements of %zu bytes are more than an address "
                             "space has (%zu such elements)",
                             static_cast<unsigned long long>(n), step, most));
        }
        return static_cast<std::size_t>(n);
    }

    enum class pages { zeroed, any };
    shared_array(std::size_t n, pages how) : size_(n) {
        if (n == 0) return;
        memory_ =
            detail::shared_registry::get().create("shared_array", n * step, how == pages::zeroed);
        data_ = reinterpret_cast<T*>(memory_->data());
    }
    shared_array(detail::mapping_ref memory, std::size_t n) noexcept
        : memory_(std::move(memory)), size_(n) {
        data_ = n != 0 ? reinterpret_cast<T*>(memory_->data()) : nullptr;
    }

    template <class Archive>
    void serialize(Archive& archive) {
        detail::serialize_handle(archive, memory_, size_, step, layout(), writable);
        if constexpr (Archive::is_loading::value) {
            data_ = memory_ ? reinterpret_cast<T*>(memory_->data()) : nullptr;
        }
    }

    detail::mapping_ref memory_;
    T* data_ = nullptr;
    std::size_t size_ = 0;
};

template <std::ranges::forward_range R>
shared_array(R&&) -> shared_array<std::ranges::range_value_t<R>>;

}  // namespace concur::inline v0

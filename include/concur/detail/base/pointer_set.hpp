// SPDX-License-Identifier: BSL-1.0
// A set of addresses: open addressing, grown by half full. (std::set and std::unordered_set cost
// every user's build more than the whole of this does.) Not thread-safe.
#pragma once

#include <memory>
#include <utility>

#include <concur/detail/base/config.hpp>

namespace concur::inline v0::detail {

class pointer_set {
public:
    /// False: it was in already.
    bool insert(void const* pointer) {
        if (2 * (count_ + 1) > size_) grow();
        void const*& slot = find(pointer);
        if (slot == pointer) return false;
        slot = pointer;
        ++count_;
        return true;
    }

private:
    void const*& find(void const* pointer) noexcept {
        auto i = reinterpret_cast<std::uintptr_t>(pointer) * 0x9e3779b97f4a7c15u >> 20;
        while (slots_[i & (size_ - 1)] && slots_[i & (size_ - 1)] != pointer) ++i;
        return slots_[i & (size_ - 1)];
    }

    void grow() {
        auto const before = std::move(slots_);
        auto const size_before = std::exchange(size_, size_ == 0 ? 16 : size_ * 2);
        slots_.reset(new void const* [size_] {});
        for (std::size_t i = 0; i < size_before; ++i) {
            if (before[i]) find(before[i]) = before[i];
        }
    }

    std::unique_ptr<void const*[]> slots_;
    std::size_t size_ = 0;
    std::size_t count_ = 0;
};

}  // namespace concur::inline v0::detail

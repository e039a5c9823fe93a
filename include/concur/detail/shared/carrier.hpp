// SPDX-License-Identifier: BSL-1.0
// Handles to shared memory in messages: whoever sends a message with one keeps the memory alive
// until the other side has it. The codec tells these here; without handles they cost a null check.
#pragma once

#include <algorithm>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include <concur/detail/shared/registry.hpp>

namespace concur::inline v0::detail {

/// Who is told of the handles in what this thread writes.
class carrier {
public:
    virtual void carry(shared_mapping& mapping) = 0;

protected:
    ~carrier() = default;
};
CONCUR_API inline constinit thread_local carrier* this_thread_carrier = nullptr;

/// Who is told of the handles in what this thread reads.
class receiver {
public:
    virtual void arrived(shared_mapping& mapping) = 0;

protected:
    ~receiver() = default;
};
CONCUR_API inline constinit thread_local receiver* this_thread_receiver = nullptr;

/// For the time of a scope, and for the calling thread.
class carry_scope {
public:
    explicit carry_scope(carrier* c) noexcept : before_(std::exchange(this_thread_carrier, c)) {}
    carry_scope(carry_scope const&) = delete;
    carry_scope& operator=(carry_scope const&) = delete;
    ~carry_scope() { this_thread_carrier = before_; }

private:
    carrier* const before_;
};
class receive_scope {
public:
    explicit receive_scope(receiver* r) noexcept
        : before_(std::exchange(this_thread_receiver, r)) {}
    receive_scope(receive_scope const&) = delete;
    receive_scope& operator=(receive_scope const&) = delete;
    ~receive_scope() { end(); }
    void end() noexcept { this_thread_receiver = before_; }

private:
    receiver* const before_;
};

/// Keeps what the calls under way refer to, in the process that sends them.
class pin_list final : public carrier {
public:
    pin_list() noexcept = default;
    pin_list(pin_list&& other) noexcept
        : first_(std::move(other.first_)), more_(std::move(other.more_)) {}
    pin_list(pin_list const& other) : first_(other.first_), more_(other.more_) {}
    pin_list& operator=(pin_list other) noexcept {
        std::swap(first_, other.first_);
        more_.swap(other.more_);
        return *this;
    }
    ~pin_list() = default;

    void carry(shared_mapping& mapping) override {
        if (&mapping == first_.get() || (!more_.empty() && more_.back().get() == &mapping)) return;
        mapping.retain();
        mapping_ref pin(&mapping);
        if (first_) {
            more_.push_back(std::move(pin));
        } else {
            first_ = std::move(pin);
        }
    }
    bool empty() const noexcept { return !first_; }

    pin_list* next = nullptr;  // of those that are to be dropped

private:
    mapping_ref first_;
    std::vector<mapping_ref> more_;
};

/// A handle counts its copies, so it stands in nothing that is copied as bytes: messages of such
/// types alone need no scopes.
template <class... T>
inline constexpr bool hold_no_handles = (std::is_trivially_copyable_v<T> && ...);

/// What a call refers to, gathered while it is encoded.
template <bool Plain>
class call_pins {
public:
    /// Null: nothing.
    pin_list* take() { return pins_.empty() ? nullptr : new pin_list(std::move(pins_)); }

private:
    pin_list pins_;
    carry_scope const carrying_{&pins_};
};
template <>
class call_pins<true> {
public:
    static pin_list* take() noexcept { return nullptr; }
};

/// In a worker: what came with a call is kept by the caller until the call is over; what else goes
/// out with the reply has to be handed over, once.
class call_handles : public carrier, public receiver {
public:
    void arrived(shared_mapping& mapping) override { note(mapping.id()); }
    void carry(shared_mapping& mapping) override {
        auto const id = mapping.id();
        if (id == first_ || std::find(more_.begin(), more_.end(), id) != more_.end()) return;
        hand_over(mapping);
        note(id);
    }

protected:
    ~call_handles() = default;
    virtual void hand_over(shared_mapping& mapping) = 0;

private:
    /// Most calls have one, if any.
    void note(std::uint64_t id) {
        if (first_ == 0) {
            first_ = id;
        } else if (id != first_) {
            more_.push_back(id);
        }
    }

    std::uint64_t first_ = 0;
    std::vector<std::uint64_t> more_;
};

/// In a worker: what a function refers to that is kept for the next call of the same map. The
/// caller pins it for each call, so in between the worker does not hold it.
class borrow_list final : public receiver {
public:
    borrow_list() noexcept = default;
    borrow_list(borrow_list const&) = delete;
    borrow_list& operator=(borrow_list const&) = delete;
    ~borrow_list() {
        if (!begun_) return;
        for (auto& m : all_) m->unborrow();
    }
    void arrived(shared_mapping& mapping) override {
        mapping.retain();
        all_.emplace_back(&mapping);
    }

    /// The function is made and kept.
    void begin() noexcept {
        begun_ = true;
        for (auto& m : all_) m->borrow();
    }
    /// A task may have copied handles out of the function.
    void hold_copies() noexcept {
        for (auto& m : all_) m->hold_copies();
    }

private:
    bool begun_ = false;
    std::vector<mapping_ref> all_;
};

}  // namespace concur::inline v0::detail

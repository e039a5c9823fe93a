// SPDX-License-Identifier: BSL-1.0
// handler<A>: a user's function of one argument, or of none, in an option struct. Copies share it.
// (std::function would do; <functional> costs every user's build more than this.)
#pragma once

#include <atomic>
#include <concepts>
#include <type_traits>
#include <utility>

#include <concur/detail/base/config.hpp>

namespace concur::inline v0::detail {

template <class Argument>
class handler {
public:
    handler() = default;
    handler(std::nullptr_t) {}

    template <class F>
        requires(!std::same_as<std::remove_cvref_t<F>, handler> &&
                 (std::is_invocable_v<std::decay_t<F>&, Argument> ||
                  std::is_invocable_v<std::decay_t<F>&>))
    handler(F&& f) : call_(new holder<std::decay_t<F>>(std::forward<F>(f))) {}
    handler(handler const& other) noexcept : call_(other.call_) {
        if (call_)
            call_->references.fetch_add(1, std::memory_order_relaxed);  // [handler] holder adds
    }
    handler(handler&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
    handler& operator=(handler other) noexcept {
        std::swap(call_, other.call_);
        return *this;
    }
    ~handler() {
        if (call_ && call_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {  // [handler]
            delete call_;
        }
    }

    explicit operator bool() const noexcept { return call_ != nullptr; }

    /// Any thread may call; the function itself may then run on several at once.
    void operator()(Argument argument) const { call_->call(std::move(argument)); }

private:
    struct callable {
        virtual ~callable() = default;
        virtual void call(Argument argument) = 0;
        std::atomic<std::size_t> references{1};
    };
    template <class F>
    struct holder final : callable {
        explicit holder(F function) : f(std::move(function)) {}
        void call(Argument argument) override {
            if constexpr (std::is_invocable_v<F&, Argument>) {
                static_cast<void>(f(std::move(argument)));
            } else {
                static_cast<void>(f());
            }
        }
        F f;
    };

    callable* call_ = nullptr;
};

}  // namespace concur::inline v0::detail

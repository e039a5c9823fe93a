// SPDX-License-Identifier: BSL-1.0
// outcome<T>: a value or an exception, to look at instead of to catch.
#pragma once

#include <exception>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include <concur/error.hpp>

namespace concur::inline v0 {

/// A value or the exception that came instead of it. Copyable when T is.
template <class T>
class [[nodiscard]] outcome {
public:
    static_assert(!std::is_reference_v<T>, "outcome<T>: T cannot be a reference");

    outcome(T from) : content_(std::in_place_index<0>, std::move(from)) {}
    outcome(std::exception_ptr error) : content_(std::in_place_index<1>, std::move(error)) {}

    bool has_value() const noexcept { return content_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }

    /// Throws   the exception, if that is what it holds.
    T& value() & { return checked(), *std::get_if<0>(&content_); }
    T const& value() const& { return checked(), *std::get_if<0>(&content_); }
    T&& value() && { return checked(), std::move(*std::get_if<0>(&content_)); }
    T& operator*() & { return value(); }
    T const& operator*() const& { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    T* operator->() { return &value(); }
    T const* operator->() const { return &value(); }

    template <class U>
    T value_or(U&& other) const& {
        return has_value() ? *std::get_if<0>(&content_) : static_cast<T>(std::forward<U>(other));
    }
    template <class U>
    T value_or(U&& other) && {
        return has_value() ? std::move(*std::get_if<0>(&content_))
                           : static_cast<T>(std::forward<U>(other));
    }

    /// Null when it holds a value.
    std::exception_ptr error() const noexcept {
        return has_value() ? nullptr : *std::get_if<1>(&content_);
    }
    /// The exception's text; empty when it holds a value.
    std::string what() const;

private:
    void checked() const {
        if (!has_value()) std::rethrow_exception(*std::get_if<1>(&content_));
    }

    std::variant<T, std::exception_ptr> content_;
};

/// Done, or the exception that came instead.
template <>
class [[nodiscard]] outcome<void> {
public:
    outcome() = default;
    outcome(std::exception_ptr error) : error_(std::move(error)) {}

    bool has_value() const noexcept { return !error_; }
    explicit operator bool() const noexcept { return has_value(); }
    void value() const {
        if (error_) std::rethrow_exception(error_);
    }
    void operator*() const { value(); }
    std::exception_ptr error() const noexcept { return error_; }
    std::string what() const;

private:
    std::exception_ptr error_;
};

// ---- implementation

namespace detail {

[[gnu::cold]] inline std::string text_of(std::exception_ptr const& error) {
    if (!error) return {};
    try {
        std::rethrow_exception(error);
    } catch (std::exception const& e) {
        return e.what();
    } catch (...) {
        return "an exception that is not a std::exception";
    }
}

}  // namespace detail

template <class T>
std::string outcome<T>::what() const {
    return detail::text_of(error());
}

inline std::string outcome<void>::what() const { return detail::text_of(error_); }

}  // namespace concur::inline v0

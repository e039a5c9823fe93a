// SPDX-License-Identifier: BSL-1.0
// Where the future is in an element of a user's range: the element itself, the last member of a
// pair or tuple, or what a projection says.
#pragma once

#include <span>  // the smallest standard header that brings the range concepts
#include <tuple>
#include <type_traits>
#include <utility>

#include <concur/callable.hpp>
#include <concur/future.hpp>

namespace concur::inline v0::detail {

template <class T>
concept some_future = std::is_base_of_v<future_base, std::remove_cvref_t<T>>;

template <class T>
concept tuple_like = requires { std::tuple_size<std::remove_cvref_t<T>>::value; };

/// The projection that is used when the user gives none.
struct future_inside {
    template <class Element>
    decltype(auto) operator()(Element& element) const {
        if constexpr (some_future<Element>) {
            return static_cast<Element&>(element);
        } else {
            static_assert(tuple_like<Element>,
                          "the elements of this range are not futures: pass a projection that says "
                          "which member is, as in as_completed(jobs, &job::result)");
            return (std::get<std::tuple_size_v<std::remove_cvref_t<Element>> - 1>(element));
        }
    }
};

template <class Projection, class Element>
state* state_in_element(Projection& projection, Element& element) {
    auto&& found = call(projection, element);
    static_assert(some_future<decltype(found)>, "the projection does not give a future");
    return future_access::state_in(found);
}

template <class R>
concept any_range = std::ranges::input_range<R>;

/// Not a container that dies with the call: its elements may be referred to.
template <class R>
concept kept_range =
    std::ranges::forward_range<R> &&
    (std::is_lvalue_reference_v<R> || std::ranges::enable_view<std::remove_cvref_t<R>>) &&
    std::is_lvalue_reference_v<std::ranges::range_reference_t<R>>;

}  // namespace concur::inline v0::detail

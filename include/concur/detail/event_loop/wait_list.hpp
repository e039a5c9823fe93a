// SPDX-License-Identifier: BSL-1.0
// Coroutines that wait for something that others will give them, first come first served: behind
// async_semaphore, async_mutex, async_event and async_queue. One loop's thread only.
#pragma once

#include <coroutine>
#include <stdexcept>

#include <concur/detail/event_loop/task.hpp>

namespace concur::inline v0::detail {

class wait_list;

/// A place in the line. Whoever wakes it has given it what it waits for; a cancel takes it out.
class wait_place_in_line : public suspension {
public:
    wait_place_in_line(wait_list& line, ready_ops const& o) noexcept : suspension(o), line_(line) {}
    ~wait_place_in_line();

    static void interrupted(suspension& s) noexcept;

protected:
    wait_list& line() noexcept { return line_; }

private:
    friend class wait_list;
    wait_list& line_;
    wait_place_in_line* next_ = nullptr;
    wait_place_in_line* previous_ = nullptr;
    bool in_line_ = false;
};

class wait_list {
public:
    wait_list() = default;
    wait_list(wait_list const&) = delete;
    wait_list& operator=(wait_list const&) = delete;

    bool empty() const noexcept { return !first_; }
    wait_place_in_line* first() const noexcept { return first_; }

    /// The strand of `head` waits here. False: a cancel was pending.
    bool join(wait_place_in_line& place, promise_base& head) noexcept {
        if (!place.enter(head)) return false;
        place.next_ = nullptr;
        place.previous_ = last_;
        (last_ ? last_->next_ : first_) = &place;
        last_ = &place;
        place.in_line_ = true;
        return true;
    }
    void take_out(wait_place_in_line& place) noexcept {
        (place.previous_ ? place.previous_->next_ : first_) = place.next_;
        (place.next_ ? place.next_->previous_ : last_) = place.previous_;
        place.in_line_ = false;
    }
    /// Takes the first one out and wakes it; null when there is none.
    wait_place_in_line* wake_first() {
        auto* const place = first_;
        if (!place) return nullptr;
        require_loop(*place);
        take_out(*place);
        place->wake();
        return place;
    }

private:
    static void require_loop(wait_place_in_line const& place) {
        if (place.who->on->core->here()) return;
        throw std::logic_error(
            "an async_ primitive was used on a thread that is not that of the loop whose "
            "coroutines wait for it; submit a function to the loop that does this");
    }

    wait_place_in_line* first_ = nullptr;
    wait_place_in_line* last_ = nullptr;
};

inline wait_place_in_line::~wait_place_in_line() {
    if (in_line_) line_.take_out(*this);
}

inline void wait_place_in_line::interrupted(suspension& s) noexcept {
    auto& self = static_cast<wait_place_in_line&>(s);
    self.line_.take_out(self);
    self.wake_cancelled();
}

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// The parent's side of a submitted call: a job that is encoded instead of run, and completed by a
// reply.
#pragma once

#include <exception>
#include <memory>
#include <tuple>
#include <utility>

#include <concur/detail/remote/entry.hpp>
#include <concur/detail/remote/exceptions.hpp>
#include <concur/detail/remote/wire.hpp>
#include <concur/detail/verbs/submit.hpp>

namespace concur::inline v0::detail {

/// Stores an exception as the result of a state; the phase to publish.
inline std::uint64_t store_problem(state& s, std::exception_ptr problem) noexcept {
    if (s.ops->reports) error_sink::report(s.owner, problem);
    ::new (static_cast<void*>(behind<std::exception_ptr>(s)))
        std::exception_ptr(std::move(problem));
    return phase_error;
}

/// Completes a state that is away with a reply that holds an R or an exception.
template <class R>
void complete_with(state& s, reply_view const& reply) noexcept {
    std::uint64_t phase = phase_value;
    if (reply.kind == reply_kind::exception) {
        phase = store_problem(s, decode_exception({reply.data, reply.bytes}, reply.pid));
    } else if constexpr (!std::is_void_v<R>) {
        try {
            read_pass in(reply.data, reply.bytes);
            ::new (static_cast<void*>(behind<R>(s))) R(in.template get<R>());
            try {
                in.require_end();
            } catch (...) {
                std::destroy_at(&result_of<R>(s));
                throw;
            }
        } catch (...) {
            phase = store_problem(s, std::current_exception());
        }
    }
    // Its executor has counted a value when it saw that kind of reply.
    auto& core = *static_cast<remote_core*>(s.owner);
    if (reply.kind == reply_kind::exception) {
        core.count_done(phase_error, 1);
    } else if (phase != phase_value) {
        core.count_broken_value();
    }
    s.publish_away(phase);
}

/// The same for a task that ends without a reply.
inline void complete_with_problem(state& s, std::exception_ptr problem) noexcept {
    auto const phase = store_problem(s, std::move(problem));
    static_cast<remote_core*>(s.owner)->count_done(phase_error, 1);
    s.publish_away(phase);
}

/// What an awaited argument is in the call: always a value, for references do not travel.
template <class Values>
struct values_of;
template <class... V>
struct values_of<types<V...>> {
    using type = types<std::remove_cvref_t<V>...>;
};
template <class... Args>
using travelling_types = typename values_of<
    typename joined_types<types<>, typename awaited<Args>::values...>::type>::type;

/// f and its arguments until they are encoded. `Stored`: the result, or void when nobody wants it.
template <class Stored, class F, class... Args>
struct remote_call {
    static constexpr std::size_t tasks = 1;
    using tail = call_frame;
    using entry = task_entry<Stored, F, travelling_types<Args...>>;
    static constexpr bool travels_plainly = entry::takes_no_handles;

    F f;
    std::tuple<Args...> args;

    template <class Job>
    static constexpr void describe(state_ops& table) noexcept {
        table.attend = &attend_remote;
        table.call_back = &call_back_remote;
        table.remote = &travel<Job>;
    }

private:
    template <class Job>
    static void encode(state& s, remote_core& core, call_frame& frame) {
        remote_call& self = Job::call_of(s);
        auto const* const extras = s.ops->extras ? s.ops->extras(s) : nullptr;
        frame.kind = 0;
        call_writer out(core, frame);
        call_pins<travels_plainly> pins;
        auto const write = [&](auto const&... value) {
            size_pass size;
            size(self.f, value...);
            if (extras && (extras->timeout || extras->seed || extras->retries != 0 ||
                           !extras->name.empty())) {
                call_header header;
                header.seeded = extras->seed.has_value();
                header.seed = extras->seed.value_or(0);
                header.timed = extras->timeout.has_value();
                write_pass to(out.room(size.bytes(), &header, &extras->name), size.bytes());
                to(self.f, value...);
            } else {
                write_pass to(out.room(size.bytes()), size.bytes());
                to(self.f, value...);
            }
        };
        std::apply(
            [&](auto&... arg) {
                auto values = std::tuple_cat(value_of(arg)...);
                std::apply(write, values);
            },
            self.args);
        frame.pins = pins.take();
        out.done();
        Job::drop(s);
    }

    template <class A>
    static std::tuple<A const&> value_of(A& argument) {
        return argument;
    }
    template <class T>
    static auto value_of(future<T>& input) {
        return awaited_value(input);
    }
    template <class T>
    static auto value_of(shared_future<T>& input) {
        return awaited_value(input);
    }
    template <class Future>
    static auto awaited_value(Future& input) {
        using value = typename Future::value_type;
        if constexpr (std::is_void_v<value>) {
            input.get();
            return std::tuple<>();
        } else if constexpr (std::is_reference_v<decltype(input.get())>) {
            return std::tuple<value const&>(input.get());
        } else {
            return std::tuple<value>(input.get());
        }
    }

    template <class Job>
    static constexpr remote_ops travel{
        &entry::run, &encode<Job>, &complete_with<Stored>,
        nullptr,     nullptr,      [](state& s) noexcept -> call_frame& { return Job::tail(s); },
        false};
};

/// What cannot travel, said at compile time.
template <class F, class Stored, class Values>
struct travel_check;
template <class F, class Stored, class... V>
struct travel_check<F, Stored, types<V...>> {
    static constexpr bool check() {
        if constexpr (check_callable<F>()) {
            if constexpr ((check_crosses<V>() && ...)) {
                if constexpr (std::is_void_v<Stored>) {
                    return true;
                } else {
                    return check_crosses<Stored>();
                }
            }
        }
        return false;
    }
};

/// Makes the job of a call that travels and hands it to the executor. As start_task.
template <result_use Use, bool Extras, class Core, class F, class... Args>
state& start_remote_task(Core& core, task_options* options, F&& f, Args&&... args) {
    constexpr std::uint64_t references = Use == result_use::kept ? 2 : 1;
    constexpr bool awaits = (awaited<std::decay_t<Args>>::is_future || ...);
    using result = typename rules_for<F, Args...>::result_type;
    using stored = std::conditional_t<Use == result_use::kept, result, void>;
    using call_type = remote_call<stored, std::decay_t<F>, std::decay_t<Args>...>;
    using block = job<call_type, stored, Extras || awaits, Use>;

    require_target(f);
    require_no_local_captured(f);
    std::vector<state_ref> inputs;
    if constexpr (awaits) (add_input(inputs, args), ...);
    // Away from the start, unless it has to wait for its inputs: enqueue() is all that comes.
    state& s = block::make(&core, awaits ? not_ready : away, references, [&] {
        return call_type{std::forward<F>(f),
                         std::tuple<std::decay_t<Args>...>(std::forward<Args>(args)...)};
    });
    try {
        if constexpr (Extras) set_extras(s, std::move(*options));
        if constexpr (awaits) {
            s.ops->extras(s)->inputs = std::make_unique<input_list>(s, std::move(inputs));
        }
        core.admit(true);
    } catch (...) {
        if constexpr (!awaits) s.word.fetch_and(~std::uint64_t{away});
        abandon(s, references);
        throw;
    }
    if constexpr (awaits) {
        s.ops->extras(s)->inputs->start();
    } else {
        core.enqueue(s);
    }
    return s;
}

}  // namespace concur::inline v0::detail

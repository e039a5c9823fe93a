// SPDX-License-Identifier: BSL-1.0
// Every exception that concur throws of its own; all derive from concur::error.
// Wrong options throw std::invalid_argument, misuse of a future std::future_error.
#pragma once

#include <atomic>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include <concur/detail/base/config.hpp>
#include <concur/detail/base/fields.hpp>

namespace concur::inline v0 {

/// The root of the family: catch this to catch them all.
class CONCUR_API error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// A verb was called after shutdown().
class CONCUR_API executor_shut_down : public error {
public:
    executor_shut_down() : error("cannot schedule new futures after shutdown") {}
    using error::error;
};

/// The executor cannot run anything any more; the text says why.
class CONCUR_API broken_executor : public error {
public:
    using error::error;
};

/// The task was cancelled before it started, or ended early because it was asked to.
class CONCUR_API task_cancelled : public error {
public:
    task_cancelled() : error("the task was cancelled") {}
    using error::error;
};

/// A time limit passed: of a task, of a map, or of the wait that throws it.
class CONCUR_API timeout_error : public error {
public:
    timeout_error() : error("the time limit passed") {}
    using error::error;
};

/// This wait could never end, because what it waits for waits for this thread.
class CONCUR_API would_deadlock : public error {
public:
    using error::error;
};

/// The queue was closed and holds nothing more.
class CONCUR_API queue_closed : public error {
public:
    queue_closed() : error("the queue is closed and empty") {}
    using error::error;
};

/// Several tasks of one with_task_group failed. A failure that comes alone is thrown as itself.
class CONCUR_API task_group_error : public error {
public:
    task_group_error(std::string const& text, std::vector<std::exception_ptr> errors)
        : error(text), errors_(std::move(errors)) {}

    /// In the order in which they came; the first one cancelled the others.
    std::vector<std::exception_ptr> const& errors() const noexcept { return errors_; }

private:
    std::vector<std::exception_ptr> errors_;
};

/// Bytes that are not what the receiver expects, or a value that cannot become bytes.
class CONCUR_API codec_error : public error {
public:
    using error::error;
};

/// The worker process that ran the task died.
class CONCUR_API worker_lost : public error {
public:
    worker_lost(std::string const& text, int pid, int signal, int exit_code)
        : error(text), pid_(pid), signal_(signal), exit_code_(exit_code) {}

    int pid() const noexcept { return pid_; }
    int signal() const noexcept { return signal_; }        ///< 0: no signal killed it
    int exit_code() const noexcept { return exit_code_; }  ///< -1: it did not exit by itself

private:
    int pid_;
    int signal_;
    int exit_code_;
};

#if CONCUR_RTTI

/// Where an exception comes from that was thrown in another process: it arrives as its own type and
/// as this one, so that both `catch (std::out_of_range&)` and origin_of() see it. What is thrown in
/// this process has none.
class CONCUR_API remote_origin {
public:
    remote_origin(std::string type_name, std::string message, int pid)
        : type_name_(std::move(type_name)), message_(std::move(message)), pid_(pid) {}

    std::string const& type_name() const noexcept { return type_name_; }  ///< demangled
    std::string const& message() const noexcept { return message_; }      ///< its what()
    int pid() const noexcept { return pid_; }                             ///< of the worker

protected:
    // Out of line, and the destructor not virtual: some sixty classes derive from this one in each
    // user's build.
    [[gnu::noinline]] remote_origin(remote_origin const& other)
        : type_name_(other.type_name_), message_(other.message_), pid_(other.pid_) {}
    remote_origin& operator=(remote_origin const&) = default;
    [[gnu::noinline]] ~remote_origin() {}

private:
    virtual void polymorphic() const noexcept {}  // for dynamic_cast

    std::string type_name_;
    std::string message_;
    int pid_;
};

/// The remote_origin of an exception; null when it was thrown in this process. Needs RTTI.
template <class E>
remote_origin const* origin_of(E const& exception) noexcept {
    return dynamic_cast<remote_origin const*>(&exception);
}

namespace detail {

template <class E>
inline constexpr bool serializes = requires(E& e, field_writer& w, field_reader& r) {
    e.serialize(w);
    e.serialize(r);
};

/// Whether E has a member of the name serialize, be it private or of a wrong signature: with a
/// second one next to it, the name has no meaning.
template <class E>
struct names_serialize {
    struct named {
        int serialize;
    };
    struct both : E, named {};
    static constexpr bool value = !requires { &both::serialize; };
};

/// What came over about an exception, besides its type.
struct exception_parts : remote_origin {
    using remote_origin::remote_origin;

    std::string_view fields;  // for serialize
    bool nested = false;  // the exception inside is the one that is being handled while it is made
    int depth = 0;        // how many exceptions it stands in
    mutable bool made = false;  // what is thrown is the exception itself, not why it cannot be made
};

/// What arrives: an E that knows where it comes from. Nested is std::nested_exception or nothing.
template <class E, class... Nested>
struct arrived final : E, remote_origin, Nested... {
    template <class... Arguments>
    [[gnu::cold]] explicit arrived(exception_parts const& parts, Arguments const&... arguments)
        : E(arguments...), remote_origin(parts) {
        if constexpr (serializes<E>) {
            field_reader in(parts.fields);
            static_cast<E&>(*this).serialize(in);
            if (!in.at_end()) throw codec_error("there are more or fewer bytes than fields");
        }
        parts.made = true;
    }
    arrived(arrived const&) = default;
    [[gnu::cold]] ~arrived() override = default;

    char const* what() const noexcept override { return remote_origin::message().c_str(); }
};

/// Throws what arrives as E. (To throw costs the user's build much less than to make a pointer.)
template <class E, class... Arguments>
[[noreturn, gnu::cold]] void throw_arrived(exception_parts const& parts,
                                           Arguments const&... arguments) {
    if constexpr (!std::is_base_of_v<std::nested_exception, E>) {
        if (parts.nested) throw arrived<E, std::nested_exception>(parts, arguments...);
    }
    throw arrived<E>(parts, arguments...);
}

template <class E>
bool covers_exception(std::exception const& problem) noexcept {
    return dynamic_cast<E const*>(&problem) != nullptr;
}

template <class E>
void write_fields(std::exception const& problem, field_writer& fields) {
    if constexpr (serializes<E>) {
        // serialize is one function for both ways, so it is not const, but it only reads here.
        const_cast<E&>(dynamic_cast<E const&>(problem)).serialize(fields);
    }
}

template <class E>
[[noreturn]] void raise_registered(exception_parts const& parts) {
    if constexpr (std::is_constructible_v<E, std::string>) {
        throw_arrived<E>(parts, parts.message());
    } else {
        throw_arrived<E>(parts);
    }
}

/// An exception type that other processes may send.
struct registered_exception {
    std::type_info const& type;
    bool (*covers)(std::exception const& problem) noexcept;  // an E, or derived from it
    void (*write)(std::exception const& problem, field_writer& fields);
    void (*raise)(exception_parts const& parts);  // throws an arrived<E>, or why it cannot
    void (*throw_pointer)();                      // throws an E*, null
    bool (*catches)(void (*throw_pointer)());     // whether that throws an E* or derived
    registered_exception* next = nullptr;
};

// Protocol [registered]
//
//   The list only grows, at its head; an entry never changes after it is in. Any thread may enter
//   and read. The program's initialisers do it for most, so it has no lock that a fork could break.
//
// Order      whoever sees the head sees the whole entry: the CAS releases, readers acquire.
// Death      an entry lives as long as the program; each process has a list of its own.
CONCUR_API inline std::atomic<registered_exception*> registered_exceptions{nullptr};

template <class E>
[[noreturn]] void throw_pointer() {
    throw static_cast<E*>(nullptr);
}

/// Whether E is a base of the type whose throw_pointer() this is: only a handler can tell, when
/// nothing is known of both types at once.
template <class E>
bool catches_pointer(void (*thrower)()) {
    try {
        thrower();
    } catch (E*) {
        return true;
    } catch (...) {  // the answer no
    }
    return false;
}

template <class E>
registered_exception* enter_exception() {
    static registered_exception entry{typeid(E),         &covers_exception<E>,
                                      &write_fields<E>,  &raise_registered<E>,
                                      &throw_pointer<E>, &catches_pointer<E>};
    entry.next = registered_exceptions.load(std::memory_order_relaxed);  // [registered] CAS decides
    while (!registered_exceptions.compare_exchange_weak(
        entry.next, &entry, std::memory_order_acq_rel)) {  // [registered] entry before head
    }
    return &entry;
}

}  // namespace detail

/// Lets exceptions of type E cross process borders as themselves. Returns true, so that it can
/// initialise a variable at namespace scope.
///
/// E is not final, nor is its what(); it is made from a std::string, its text, if it can be, else
/// from nothing. Then its fields cross by a public member `template <class A> void serialize(A& ar)
/// { ar(x, y); }`: numbers, enums and std::string with this header alone, everything that the codec
/// carries with <concur/process_pool.hpp>. what() gives the text of the original in any case.
/// Every process of the program must register E: at namespace scope, all do.
///
/// Threads   any; registering again does nothing.
template <class E>
bool register_exception() {
    static_assert(std::is_convertible_v<E*, std::exception*>,
                  "register_exception<E>(): E must derive from std::exception");
    static_assert(!std::is_final_v<E> && !std::is_abstract_v<E>,
                  "register_exception<E>(): E must not be final or abstract, for what "
                  "arrives derives from it");
    static_assert(std::is_constructible_v<E, std::string> || std::is_default_constructible_v<E>,
                  "register_exception<E>(): E needs a constructor from std::string or from "
                  "nothing; a member serialize can bring the rest");
    static_assert(detail::serializes<E> || !detail::names_serialize<E>::value,
                  "register_exception<E>(): the serialize of an exception must be public: "
                  "template <class A> void serialize(A& ar) { ar(x, y); }");
    static detail::registered_exception const* const entry = detail::enter_exception<E>();
    return entry != nullptr;
}

#endif

/// The machine that ran the task is gone.
class CONCUR_API host_lost : public error {
public:
    using error::error;
};

}  // namespace concur::inline v0

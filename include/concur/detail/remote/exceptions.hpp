// SPDX-License-Identifier: BSL-1.0
// Exceptions from one process to another. Standard ones, concur's own and registered ones arrive as
// their own type, others as their nearest known base; all with the same what(), with the exceptions
// nested in them, and as remote_origin. Cost: some microseconds, most of them for the rethrow.
#pragma once

#include <cxxabi.h>
#include <any>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <future>
#include <initializer_list>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

#include <concur/detail/base/config.hpp>
#include <concur/detail/base/fields.hpp>
#include <concur/detail/base/text.hpp>
#include <concur/error.hpp>

#if !CONCUR_RTTI
#error "concur: exceptions cross process borders by their dynamic types: compile with RTTI"
#endif

namespace concur::inline v0::detail {

/// Texts are cut here, so that one message cannot fill the memory between the processes.
inline constexpr std::size_t longest_exception_text = std::size_t(1) << 20;
/// Exceptions in exceptions: each level costs stack on both sides.
inline constexpr int deepest_nested_exception = 64;

/// A category that has this name in another process, and is not known in this one: system_error
/// keeps its type, its number and the name; it equals no category here.
class distant_category final : public std::error_category {
public:
    distant_category(std::string name, distant_category const* next)
        : name_(std::move(name)), next_(next) {}

    char const* name() const noexcept override { return name_.c_str(); }
    std::string message(int value) const override {
        return text("%s error %d", name_.c_str(), value);
    }
    distant_category const* next() const noexcept { return next_; }

private:
    std::string name_;
    distant_category const* next_;
};

/// Distant categories live for ever, one for each name: error codes point at them.
inline std::error_category const& category_of_name(std::string const& name) {
    for (auto const* known :
         {&std::generic_category(), &std::system_category(), &std::future_category()}) {
        if (name == known->name()) return *known;
    }
    static std::mutex mutex;
    static distant_category const* distant = nullptr;
    std::lock_guard const lock(mutex);
    for (auto const* known = distant; known; known = known->next()) {
        if (name == known->name()) return *known;
    }
    distant = new distant_category(name, distant);
    return *distant;
}

/// How much is encoded of exceptions in exceptions.
struct exception_budget {
    int depth;
    int* left;  ///< in all: groups may hold the same one many times

    exception_budget deeper() const noexcept { return {depth + 1, left}; }
};
inline constexpr int most_exceptions = 10'000;

// An exception in another one; further below.
std::string encode_inner(std::exception_ptr const& problem, exception_budget budget);
std::exception_ptr decode_inner(std::string_view bytes, int pid, int depth) noexcept;

/// The fields of the known types that have some; their serialize, so to say.
inline void write_known_fields(std::exception const& problem, field_writer& fields,
                               exception_budget budget) {
    if (auto const* system = dynamic_cast<std::system_error const*>(&problem)) {
        fields(system->code().value(), std::string(system->code().category().name()));
    } else if (auto const* future = dynamic_cast<std::future_error const*>(&problem)) {
        fields(future->code().value());
    } else if (auto const* lost = dynamic_cast<worker_lost const*>(&problem)) {
        fields(lost->pid(), lost->signal(), lost->exit_code());
    } else if (auto const* group = dynamic_cast<task_group_error const*>(&problem)) {
        for (auto const& one : group->errors()) {
            if (*budget.left < 0) break;  // the last one said so
            fields(encode_inner(one, budget.deeper()));
        }
    }
}

inline std::vector<std::exception_ptr> read_errors(exception_parts const& parts) {
    std::vector<std::exception_ptr> errors;
    field_reader in(parts.fields);
    while (!in.at_end()) {
        std::string bytes;
        in(bytes);
        if (in.bad()) throw codec_error("the errors of a group are cut off");
        errors.push_back(decode_inner(bytes, parts.pid(), parts.depth + 1));
    }
    return errors;
}

template <class... T>
void read_known_fields(exception_parts const& parts, T&... fields) {
    field_reader in(parts.fields);
    in(fields...);
    if (!in.at_end()) throw codec_error("there are more or fewer bytes than fields");
}

/// system_error appends the text of the code to what it is given; so that must come off first.
inline std::system_error same_system_error(std::error_code code, std::string text) {
    auto const of_code = code.message();
    if (text == of_code) return std::system_error(code);
    if (text.ends_with(of_code)) text.resize(text.size() - of_code.size());
    if (text.ends_with(": ")) text.resize(text.size() - 2);
    return {code, text};
}

template <class E>
[[noreturn, gnu::cold]] void raise_known(exception_parts const& parts) {
    if constexpr (std::is_same_v<E, std::system_error>) {
        int value = 0;
        std::string name;
        read_known_fields(parts, value, name);
        throw_arrived<E>(parts,
                         same_system_error({value, category_of_name(name)}, parts.message()));
    } else if constexpr (std::is_same_v<E, std::future_error>) {
        int value = 0;
        read_known_fields(parts, value);
        throw_arrived<E>(parts, static_cast<std::future_errc>(value));
    } else if constexpr (std::is_same_v<E, worker_lost>) {
        int pid = 0;
        int signal = 0;
        int exit_code = 0;
        read_known_fields(parts, pid, signal, exit_code);
        throw_arrived<E>(parts, parts.message(), pid, signal, exit_code);
    } else if constexpr (std::is_same_v<E, task_group_error>) {
        throw_arrived<E>(parts, parts.message(), read_errors(parts));
    } else {
        raise_registered<E>(parts);
    }
}

/// Types that need no registration. The place in the list is what crosses: both sides are the same
/// program.
template <class... E>
struct exception_list {
    static constexpr std::type_info const* types[] = {&typeid(E)...};
    static constexpr void (*raise[])(exception_parts const&) = {&raise_known<E>...};
    static constexpr std::size_t size = sizeof...(E);

    /// The place of this very type; size if it has none.
    static std::size_t place_of(std::type_info const& type) noexcept {
        std::size_t place = 0;
        while (place < size && *types[place] != type) ++place;
        return place;
    }

    /// The place of the first type in the list that it derives from.
    static std::size_t nearest(std::exception const* problem) noexcept {
        std::size_t place = 0;
        static_cast<void>(((dynamic_cast<E const*>(problem) || (++place, false)) || ...));
        return place;
    }
};

/// A type stands before its bases.
using known_exceptions =
    exception_list<executor_shut_down, broken_executor, task_cancelled, timeout_error,
                   would_deadlock, queue_closed, task_group_error, codec_error, worker_lost,
                   host_lost, error, std::range_error, std::overflow_error, std::underflow_error,
                   std::system_error, std::runtime_error, std::invalid_argument, std::domain_error,
                   std::length_error, std::out_of_range, std::future_error, std::logic_error,
                   std::bad_array_new_length, std::bad_alloc, std::bad_any_cast, std::bad_cast,
                   std::bad_typeid, std::bad_exception, std::bad_weak_ptr, std::bad_variant_access,
                   std::bad_optional_access,
#if defined(__GLIBCXX__)
                   std::bad_function_call,  // comes with <future>; <functional> is dear
#endif
                   std::exception>;

/// Where an exception without a known base arrives. std::exception has no text to give.
inline std::size_t unknown_place() noexcept {
    return known_exceptions::place_of(typeid(std::runtime_error));
}

inline registered_exception const* first_registered() noexcept {
    return registered_exceptions.load(std::memory_order_acquire);  // [registered] with the CAS
}

/// The most derived of the registered types that it derives from; null when there is none.
inline registered_exception const* nearest_registered(std::exception const& problem) {
    registered_exception const* nearest = nullptr;
    for (auto const* entry = first_registered(); entry; entry = entry->next) {
        if (!entry->covers(problem)) continue;
        if (!nearest || nearest->catches(entry->throw_pointer)) nearest = entry;
    }
    return nearest;
}

/// The registered type of this (mangled) name. Names identify types because both sides are the same
/// program; only types in anonymous namespaces of two source files may share one: then null.
inline registered_exception const* registered_of_name(std::string_view name) noexcept {
    registered_exception const* found = nullptr;
    for (auto const* entry = first_registered(); entry; entry = entry->next) {
        if (name != entry->type.name()) continue;
        if (found && found->type != entry->type) return nullptr;
        found = entry;
    }
    return found;
}

/// As in the source; of what std::throw_with_nested() has made, the type that the user threw.
inline std::string readable_type(std::type_info const* type) {
    if (!type) return "unknown";
    struct released {
        char* name;
        ~released() { std::free(name); }
    } const demangled{abi::__cxa_demangle(type->name(), nullptr, nullptr, nullptr)};
    std::string name = demangled.name ? demangled.name : type->name();
    for (char const* wrapper : {"std::_Nested_exception<", "std::__1::__nested<"}) {
        if (!name.starts_with(wrapper)) continue;
        name.erase(0, std::strlen(wrapper));
        name.pop_back();
        if (name.ends_with(' ')) name.pop_back();  // "a<b> >"
    }
    return name;
}

/// One text of several, none of them cut.
inline std::string joined(std::initializer_list<std::string_view> pieces) {
    std::string whole;
    for (auto const piece : pieces) whole.append(piece.data(), piece.size());
    return whole;
}

inline std::string shortened(char const* message) {
    if (!message) return {};
    auto const size = std::strlen(message);
    if (size <= longest_exception_text) return std::string(message, size);
    auto cut = longest_exception_text;
    // Not within a character of UTF-8, whose bytes behind the first are 10xxxxxx.
    for (int i = 0; i < 3 && (message[cut] & 0xC0) == 0x80; ++i) --cut;
    return std::string(message, cut).append(text("... (cut, %zu bytes more)", size - cut));
}

/// The text of the exception that is being handled.
inline std::string current_text() {
    try {
        throw;
    } catch (std::exception const& problem) {
        return shortened(problem.what());
    } catch (...) {
        return joined(
            {"an exception of type ", readable_type(abi::__cxa_current_exception_type())});
    }
}

/// All of one exception as bytes, except those nested in it.
struct exception_record {
    std::uint8_t place = static_cast<std::uint8_t>(unknown_place());
    std::string known_fields{};  // of the known type, for a side that does not know `registered`
    std::string registered{};    // the name of the registered type, or nothing
    std::string fields{};        // of that one
    std::string type_name{};
    std::string message{};
    int pid = 0;  // 0: of the process that sends
    bool nested = false;

    template <class Archive>
    void serialize(Archive& ar) {
        ar(place, known_fields, registered, fields, type_name, message, pid, nested);
    }
};

/// Fills in the registered type and its fields. What serialize throws is told in the message, and
/// what arrives is the nearest known base: half an object would be worse.
inline void describe_registered(exception_record& record, std::exception const& problem) {
    auto const* const entry = nearest_registered(problem);
    if (!entry) return;
    if (!registered_of_name(entry->type.name())) {
        record.message.append(
            joined({" (it arrives as its base, for two registered types are named ",
                    readable_type(&entry->type), ")"}));
        return;
    }
    try {
        field_writer fields;
        entry->write(problem, fields);
        record.fields = fields.bytes();
        record.registered = entry->type.name();
    } catch (...) {
        record.message.append(joined({" (the fields of this ", readable_type(&entry->type),
                                      " could not be sent: ", current_text(), ")"}));
    }
}

inline exception_record describe_exception(std::exception const& problem, exception_budget budget) {
    exception_record record;
    record.message = shortened(problem.what());
    auto place = known_exceptions::place_of(typeid(problem));
    if (place != known_exceptions::size) {
        record.type_name = readable_type(&typeid(problem));
    } else {
        // What has arrived here from elsewhere goes on under its first name.
        auto const* const origin = origin_of(problem);
        record.type_name = origin ? origin->type_name() : readable_type(&typeid(problem));
        record.pid = origin ? origin->pid() : 0;
        place = known_exceptions::nearest(&problem);
        bool const root = place == known_exceptions::size - 1;
        if (root && !origin) place = unknown_place();
        describe_registered(record, problem);
    }
    record.place = static_cast<std::uint8_t>(place);
    field_writer fields;
    write_known_fields(problem, fields, budget);
    record.known_fields = fields.bytes();
    return record;
}

/// Of the exception that is being handled, when it is no std::exception.
inline exception_record describe_foreign(std::string message = {}) {
    exception_record record;
    record.type_name = readable_type(abi::__cxa_current_exception_type());
    record.message = std::move(message);
    if (record.message.empty()) {
        record.message = joined({"an exception of type ", record.type_name, ", no std::exception"});
    }
    return record;
}

inline void write_with_nested(field_writer& out, std::exception_ptr const& problem,
                              exception_budget budget) {
    exception_record record;
    std::exception_ptr inner;
    auto const look_inside = [&](std::nested_exception const* holder) {
        if (holder) inner = holder->nested_ptr();
    };
    record.type_name = "unknown";
    if (!problem) {
        record.type_name = "none";
        record.message = "the task failed without an exception";
    } else if (budget.depth > deepest_nested_exception) {
        record.message = text("(no more than %d nested exceptions cross)", budget.depth - 1);
    } else if (--*budget.left < 0) {
        record.message = text("(no more than %d exceptions cross in one)", most_exceptions);
    } else {
        try {
            std::rethrow_exception(problem);
        } catch (std::exception const& caught) {
            record = describe_exception(caught, budget);
            look_inside(dynamic_cast<std::nested_exception const*>(&caught));
        } catch (std::nested_exception const& caught) {
            record = describe_foreign();
            look_inside(&caught);
        } catch (std::string const& caught) {
            record = describe_foreign(shortened(caught.c_str()));
        } catch (char const* caught) {
            record = describe_foreign(shortened(caught));
        } catch (...) {
            record = describe_foreign();
        }
    }
    record.nested = inner != nullptr;
    record.serialize(out);
    if (inner) write_with_nested(out, inner, budget.deeper());
}

inline std::string encode_inner(std::exception_ptr const& problem, exception_budget budget) {
    field_writer out;
    write_with_nested(out, problem, budget);
    return out.bytes();
}

/// The bytes of an exception, in the worker; what cannot become bytes arrives with its text.
/// Throws   std::bad_alloc. The caller may then send no bytes at all: those arrive as
/// std::bad_alloc.
inline std::vector<std::byte> encode_exception(std::exception_ptr const& problem) {
    int left = most_exceptions;
    auto const whole = encode_inner(problem, {0, &left});
    auto const* const bytes = reinterpret_cast<std::byte const*>(whole.data());
    return {bytes, bytes + whole.size()};
}

/// What `raise` throws. When that is not the exception itself but why it cannot be made, then a
/// codec_error with both texts, and the reason nested in it.
inline std::exception_ptr make_arrived(exception_parts const& parts,
                                       void (*raise)(exception_parts const&)) {
    try {
        raise(parts);
    } catch (...) {
        if (parts.made) return std::current_exception();
        exception_parts unmade(
            parts.type_name(),
            joined({"an exception of type ", parts.type_name(), " (", parts.message(),
                    ") arrived, but could not be made again: ", current_text()}),
            parts.pid());
        unmade.nested = true;
        try {
            raise_known<codec_error>(unmade);
        } catch (...) {  // just thrown
            return std::current_exception();
        }
    }
    std::abort();  // raise() always throws
}

/// Reads one record and, if there is one, the exception nested in it, and makes both again.
inline std::exception_ptr read_with_nested(field_reader& in, int pid, int depth) {
    exception_record record;
    record.serialize(in);
    if (in.bad() || record.place >= known_exceptions::size ||
        depth > deepest_nested_exception + 1) {
        throw codec_error(text("the bytes of an exception from process %d are broken", pid));
    }
    auto const* const entry =
        record.registered.empty() ? nullptr : registered_of_name(record.registered);
    exception_parts parts(std::move(record.type_name), std::move(record.message),
                          record.pid ? record.pid : pid);
    parts.fields = entry ? record.fields : record.known_fields;
    parts.nested = record.nested;
    parts.depth = depth;
    auto const raise = entry ? entry->raise : known_exceptions::raise[record.place];
    if (!record.nested) return make_arrived(parts, raise);
    auto const inner = read_with_nested(in, pid, depth + 1);
    try {
        std::rethrow_exception(inner);
    } catch (...) {  // into the nested_exception that is made here
        return make_arrived(parts, raise);
    }
}

inline std::exception_ptr decode_inner(std::string_view bytes, int pid, int depth) noexcept {
    try {
        field_reader in(bytes);
        auto made = read_with_nested(in, pid, depth);
        if (!in.at_end()) {
            throw codec_error(text("the bytes of an exception from process %d do not end", pid));
        }
        return made;
    } catch (...) {
        return std::current_exception();
    }
}

/// The exception again, in the parent: of its own type, and a remote_origin with the pid of the
/// worker, or of the process where it was thrown first. Broken bytes give a codec_error instead.
inline std::exception_ptr decode_exception(std::span<std::byte const> bytes, int pid) noexcept {
    try {
        if (bytes.empty()) {
            throw_arrived<std::bad_alloc>(exception_parts(
                "std::bad_alloc", "the worker had no memory to send its exception", pid));
        }
        return decode_inner({reinterpret_cast<char const*>(bytes.data()), bytes.size()}, pid, 0);
    } catch (...) {
        return std::current_exception();
    }
}

}  // namespace concur::inline v0::detail

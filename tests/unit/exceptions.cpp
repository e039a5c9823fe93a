// SPDX-License-Identifier: BSL-1.0
// Exceptions as bytes and back: their type, their text, their fields, and where they come from.
#include <concur/detail/remote/exceptions.hpp>

#include <doctest/doctest.h>

#include <any>
#include <array>
#include <cerrno>
#include <functional>
#include <ios>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <variant>
#include <vector>

using concur::detail::decode_exception;
using concur::detail::encode_exception;

/// What the codec does for the fields that fields.hpp leaves to it.
template <>
struct concur::detail::field_codec<std::vector<int>> {
    static std::string write(std::vector<int> const& field) {
        return std::string(field.begin(), field.end());
    }
    static std::vector<int> read(std::string_view bytes) { return {bytes.begin(), bytes.end()}; }
};

namespace {

constexpr int worker = 4711;

std::exception_ptr sent(std::exception_ptr const& problem, int pid = worker) {
    return decode_exception(encode_exception(problem), pid);
}

template <class E>
std::exception_ptr sent(E const& problem) {
    return sent(std::make_exception_ptr(problem));
}

/// Calls `look` with the exception as an E; fails when it is none.
template <class E, class Look>
void as(std::exception_ptr const& problem, Look const& look) {
    REQUIRE(problem != nullptr);
    try {
        std::rethrow_exception(problem);
    } catch (E const& caught) {
        look(caught);
    } catch (...) {
        FAIL("arrived as " << concur::detail::readable_type(abi::__cxa_current_exception_type())
                           << ": " << concur::detail::current_text());
    }
}

/// An exception of type E arrives as an E and nothing more derived, with its text and its origin.
template <class E>
void check_same(E const& problem) {
    CAPTURE(typeid(E).name());
    as<E>(sent(problem), [&](E const& arrived) {
        CHECK(std::string(arrived.what()) == problem.what());
        auto const* const origin = concur::origin_of(arrived);
        REQUIRE(origin != nullptr);
        CHECK(origin->pid() == worker);
        CHECK(origin->message() == problem.what());
        CHECK_FALSE(origin->type_name().empty());
    });
    as<std::exception>(sent(problem), [](std::exception const& some) {
        CHECK(typeid(some) == typeid(concur::detail::arrived<E>));
    });
}

struct bad_tile : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct torn_tile : bad_tile {
    using bad_tile::bad_tile;
};
struct unknown_tile : torn_tile {
    using torn_tile::torn_tile;
};

enum class colour { red, green };

struct bad_map : std::out_of_range {
    explicit bad_map(std::string const& text) : out_of_range(text) {}
    bad_map() : out_of_range("of a bad map") {}

    int code = 0;
    bool fatal = false;
    double scale = 0;
    colour paint = colour::red;
    std::string where;
    std::vector<int> trace;

    template <class Archive>
    void serialize(Archive& ar) {
        ar(code, fatal, scale, paint, where);
        ar(trace);
    }
};

struct root : std::exception {
    std::string text;
    char const* what() const noexcept override { return text.c_str(); }
    template <class Archive>
    void serialize(Archive& ar) {
        ar(text);
    }
};

struct unwilling : std::out_of_range {
    using out_of_range::out_of_range;
    template <class Archive>
    void serialize(Archive&) {
        if constexpr (std::is_same_v<Archive, concur::detail::field_writer>) {
            throw std::logic_error("no fields today");
        }
    }
};

struct unmakeable : std::out_of_range {
    using out_of_range::out_of_range;
    template <class Archive>
    void serialize(Archive&) {
        if constexpr (std::is_same_v<Archive, concur::detail::field_reader>) {
            throw std::domain_error("no way back");
        }
    }
};

struct one_way : std::out_of_range {
    explicit one_way(std::string const& text) : out_of_range(text) {
        if (text == "thorn") throw one_way("as it is made");
    }
};

struct holder : std::runtime_error, std::nested_exception {
    using std::runtime_error::runtime_error;
};

bool const all_registered =
    concur::register_exception<bad_tile>() && concur::register_exception<torn_tile>() &&
    concur::register_exception<bad_map>() && concur::register_exception<root>() &&
    concur::register_exception<unwilling>() && concur::register_exception<unmakeable>() &&
    concur::register_exception<one_way>() && concur::register_exception<holder>();

struct unregistered : std::out_of_range {
    using out_of_range::out_of_range;
};
struct unregistered_root : std::exception {
    char const* what() const noexcept override { return "a root of its own"; }
};

std::string text_of(std::exception_ptr const& problem) {
    std::string text;
    as<std::exception>(problem, [&](std::exception const& e) { text = e.what(); });
    return text;
}

}  // namespace

TEST_CASE("exceptions: standard types arrive as themselves, with the same text") {
    check_same(std::exception());
    check_same(std::runtime_error("runtime"));
    check_same(std::range_error("range"));
    check_same(std::overflow_error("overflow"));
    check_same(std::underflow_error("underflow"));
    check_same(std::logic_error("logic"));
    check_same(std::invalid_argument("argument"));
    check_same(std::domain_error("domain"));
    check_same(std::length_error("length"));
    check_same(std::out_of_range(""));
    check_same(std::bad_alloc());
    check_same(std::bad_array_new_length());
    check_same(std::bad_cast());
    check_same(std::bad_typeid());
    check_same(std::bad_exception());
    check_same(std::bad_function_call());
    check_same(std::bad_weak_ptr());
    check_same(std::bad_variant_access());
    check_same(std::bad_optional_access());
    check_same(std::bad_any_cast());
}

TEST_CASE("exceptions: concur's own arrive as themselves") {
    check_same(concur::error("any"));
    check_same(concur::executor_shut_down());
    check_same(concur::broken_executor("broken"));
    check_same(concur::task_cancelled("stopped early"));
    check_same(concur::timeout_error());
    check_same(concur::would_deadlock("deadlock"));
    check_same(concur::queue_closed());
    check_same(concur::codec_error("bytes"));
    check_same(concur::host_lost("node 7 is gone"));
    concur::worker_lost const lost("worker 12 died", 12, 9, -1);
    check_same(lost);
    as<concur::worker_lost>(sent(lost), [](concur::worker_lost const& arrived) {
        CHECK(arrived.pid() == 12);
        CHECK(arrived.signal() == 9);
        CHECK(arrived.exit_code() == -1);
        CHECK(concur::origin_of(arrived)->pid() == worker);
    });
}

TEST_CASE("exceptions: the errors of a group cross with it, each as itself") {
    using concur::task_group_error;
    check_same(task_group_error("an empty one", {}));
    bad_map map("inner");
    map.trace = {1, 2, 3};
    const auto inner = std::make_exception_ptr(
        task_group_error("two", {std::make_exception_ptr(map), std::make_exception_ptr(7)}));
    const task_group_error outer(
        "a group",
        {inner, std::make_exception_ptr(std::system_error(EIO, std::system_category(), "write"))});
    check_same(outer);
    as<task_group_error>(sent(outer), [](task_group_error const& arrived) {
        REQUIRE(arrived.errors().size() == 2);
        as<task_group_error>(arrived.errors()[0], [](task_group_error const& group) {
            REQUIRE(group.errors().size() == 2);
            as<bad_map>(group.errors()[0],
                        [](bad_map const& e) { CHECK(e.trace == std::vector<int>{1, 2, 3}); });
            as<std::runtime_error>(group.errors()[1], [](std::runtime_error const& e) {
                CHECK(std::string(e.what()).find("of type int") != std::string::npos);
            });
        });
        as<std::system_error>(arrived.errors()[1], [](std::system_error const& e) {
            CHECK(e.code() == std::error_code(EIO, std::system_category()));
            CHECK(concur::origin_of(e)->pid() == worker);
        });
    });
}

TEST_CASE("exceptions: groups in groups are cut at a depth, and broken bytes do no harm") {
    auto problem = std::make_exception_ptr(std::runtime_error("0"));
    for (int i = 1; i < 200; ++i)
        problem = std::make_exception_ptr(concur::task_group_error(std::to_string(i), {problem}));
    auto arrived = decode_exception(encode_exception(problem), worker);
    std::string last;
    for (int depth = 0; depth != 65; ++depth) {
        std::exception_ptr inner;
        as<concur::task_group_error>(arrived, [&](concur::task_group_error const& e) {
            REQUIRE(e.errors().size() == 1);
            inner = e.errors()[0];
        });
        arrived = inner;
    }
    CHECK(text_of(arrived) == "(no more than 64 nested exceptions cross)");

    // The same error many times over is not written 2^40 times.
    auto many = std::make_exception_ptr(std::runtime_error("one"));
    for (int i = 0; i != 40; ++i)
        many = std::make_exception_ptr(concur::task_group_error("two", {many, many}));
    auto const bytes = encode_exception(many);
    CHECK(bytes.size() < 10'000'000);
    as<concur::task_group_error>(decode_exception(bytes, worker),
                                 [](auto const& e) { CHECK_FALSE(e.errors().empty()); });
    as<concur::task_group_error>(
        sent(concur::task_group_error("none", {nullptr})), [](auto const& e) {
            REQUIRE(e.errors().size() == 1);
            CHECK(text_of(e.errors()[0]) == "the task failed without an exception");
        });

    auto const whole = encode_exception(std::make_exception_ptr(concur::task_group_error(
        "two", {std::make_exception_ptr(1), std::make_exception_ptr(std::bad_alloc())})));
    for (std::size_t size = 1; size < whole.size(); ++size) {
        std::vector<std::byte> const part(whole.begin(), whole.begin() + std::ptrdiff_t(size));
        as<concur::codec_error>(decode_exception(part, worker), [](auto const&) {});
    }
    for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
        auto flipped = whole;
        flipped[bit / 8] ^= std::byte(1 << (bit % 8));
        as<std::exception>(decode_exception(flipped, worker), [](auto const&) {});
    }
}

TEST_CASE("exceptions: error codes keep value and category") {
    check_same(std::future_error(std::future_errc::broken_promise));
    as<std::future_error>(sent(std::future_error(std::future_errc::no_state)),
                          [](auto const& e) { CHECK(e.code() == std::future_errc::no_state); });
    for (auto const& problem : {std::system_error(ENOENT, std::generic_category()),
                                std::system_error(EIO, std::system_category(), "reading tile 7"),
                                std::system_error(3, std::future_category(), "x: "),
                                std::system_error(EIO, std::system_category(), "")}) {
        check_same(problem);
        as<std::system_error>(sent(problem), [&](std::system_error const& arrived) {
            CHECK(arrived.code() == problem.code());
            std::system_error const sliced = arrived;
            CHECK(std::string(sliced.what()) == problem.what());
        });
    }
}

TEST_CASE("exceptions: a category that is unknown here keeps its name and its value") {
    std::ios_base::failure const problem("cannot open", std::io_errc::stream);
    std::error_category const* category = nullptr;
    for (int i = 0; i < 2; ++i) {
        as<std::system_error>(sent(problem), [&](std::system_error const& arrived) {
            CHECK(std::string(arrived.what()) == problem.what());
            CHECK(std::string(arrived.code().category().name()) == "iostream");
            CHECK(arrived.code().value() == problem.code().value());
            CHECK((!category || category == &arrived.code().category()));
            category = &arrived.code().category();
            CHECK(concur::origin_of(arrived)->type_name().find("failure") != std::string::npos);
        });
    }
}

TEST_CASE("exceptions: registered types arrive as themselves, made from their text") {
    REQUIRE(all_registered);
    check_same(bad_tile("tile 7"));
    check_same(torn_tile("tile 8"));
}

TEST_CASE("exceptions: the fields of registered types cross by serialize") {
    bad_map problem("off the map");
    problem.code = 7;
    problem.fatal = true;
    problem.scale = 0.5;
    problem.paint = colour::green;
    problem.where = std::string("a\0b", 3);
    problem.trace = {1, 2, 3};
    check_same(problem);
    as<bad_map>(sent(problem), [&](bad_map const& arrived) {
        CHECK(arrived.code == 7);
        CHECK(arrived.fatal);
        CHECK(arrived.scale == 0.5);
        CHECK(arrived.paint == colour::green);
        CHECK(arrived.where == problem.where);
        CHECK(arrived.trace == problem.trace);
    });
    root own;
    own.text = "from a root of its own";
    check_same(own);
    as<root>(sent(own), [](root const& arrived) {
        root const sliced = arrived;
        CHECK(sliced.text == "from a root of its own");
    });
}

TEST_CASE("exceptions: unknown types arrive as their nearest known base, under their name") {
    as<std::out_of_range>(sent(unregistered("index 9")), [](auto const& arrived) {
        CHECK(std::string(arrived.what()) == "index 9");
        CHECK(concur::origin_of(arrived)->type_name() == "(anonymous namespace)::unregistered");
    });
    as<std::runtime_error>(sent(unregistered_root()), [](auto const& arrived) {
        CHECK(std::string(arrived.what()) == "a root of its own");
        CHECK(concur::origin_of(arrived)->type_name() ==
              "(anonymous namespace)::unregistered_root");
    });
    as<torn_tile>(sent(unknown_tile("tile 9")), [](torn_tile const& arrived) {
        CHECK(std::string(arrived.what()) == "tile 9");
        CHECK(concur::origin_of(arrived)->type_name() == "(anonymous namespace)::unknown_tile");
    });
}

TEST_CASE("exceptions: what is no std::exception arrives as runtime_error") {
    as<std::runtime_error>(sent(42), [](auto const& arrived) {
        CHECK(concur::origin_of(arrived)->type_name() == "int");
        CHECK(std::string(arrived.what()) == "an exception of type int, no std::exception");
    });
    as<std::runtime_error>(sent(std::string("a text")), [](auto const& arrived) {
        CHECK(std::string(arrived.what()) == "a text");
        CHECK(concur::origin_of(arrived)->type_name().find("string") != std::string::npos);
    });
    char const* const literal = "a literal";
    CHECK(text_of(sent(literal)) == literal);
    char const* const null = nullptr;
    CHECK(text_of(sent(null)) == "an exception of type char const*, no std::exception");
    CHECK(text_of(sent(std::exception_ptr())) == "the task failed without an exception");
}

TEST_CASE("exceptions: nested ones arrive nested, each with its type and origin") {
    auto const nested = [](auto inner, auto outer) {
        try {
            try {
                throw inner;
            } catch (...) {
                std::throw_with_nested(outer);
            }
        } catch (...) {
            return std::current_exception();
        }
    };
    auto const check_inner = [](auto const& outer) {
        bool found = false;
        try {
            std::rethrow_if_nested(outer);
        } catch (std::out_of_range const& inner) {
            found = true;
            CHECK(std::string(inner.what()) == "inner");
            CHECK(concur::origin_of(inner)->pid() == worker);
        }
        CHECK(found);
    };
    std::out_of_range const inner("inner");
    as<std::runtime_error>(sent(nested(inner, std::runtime_error("outer"))), [&](auto const& e) {
        CHECK(std::string(e.what()) == "outer");
        CHECK(concur::origin_of(e)->type_name() == "std::runtime_error");
        check_inner(e);
    });
    as<bad_map>(sent(nested(inner, bad_map("outer"))), [&](auto const& e) {
        CHECK(concur::origin_of(e)->type_name() == "(anonymous namespace)::bad_map");
        check_inner(e);
    });
    try {
        throw inner;
    } catch (...) {  // a holder takes the exception that is being handled
        as<holder>(sent(holder("outer")), check_inner);
    }
    struct no_exception {};
    as<std::runtime_error>(sent(nested(inner, no_exception())), check_inner);
    as<std::runtime_error>(sent(nested(42, std::runtime_error("outer"))), [](auto const& e) {
        CHECK_THROWS_AS(std::rethrow_if_nested(e), std::runtime_error);
    });
    // What arrives without one has none.
    as<std::runtime_error>(sent(std::runtime_error("alone")), [](std::exception const& e) {
        CHECK_NOTHROW(std::rethrow_if_nested(e));
    });
}

TEST_CASE("exceptions: nesting is cut at a depth") {
    auto problem = std::make_exception_ptr(std::runtime_error("0"));
    for (int i = 1; i < 1000; ++i) {
        try {
            try {
                std::rethrow_exception(problem);
            } catch (...) {
                std::throw_with_nested(std::runtime_error(std::to_string(i)));
            }
        } catch (...) {
            problem = std::current_exception();
        }
    }
    auto arrived = sent(problem);
    int depth = 0;
    std::string last;
    while (arrived) {
        std::exception_ptr inner;
        as<std::runtime_error>(arrived, [&](std::runtime_error const& e) {
            last = e.what();
            auto const* const nested = dynamic_cast<std::nested_exception const*>(&e);
            if (nested) inner = nested->nested_ptr();
        });
        arrived = inner;
        ++depth;
    }
    CHECK(depth == 66);
    CHECK(last == "(no more than 64 nested exceptions cross)");
}

TEST_CASE("exceptions: fields that cannot be sent leave the text, and say why") {
    as<std::out_of_range>(sent(unwilling("index 3")), [](auto const& arrived) {
        std::string const text = arrived.what();
        CHECK(text.starts_with("index 3"));
        CHECK(text.find("no fields today") != std::string::npos);
        CHECK(text.find("unwilling") != std::string::npos);
        CHECK(dynamic_cast<unwilling const*>(&arrived) == nullptr);
    });
}

TEST_CASE("exceptions: one that cannot be made arrives as codec_error with both texts") {
    as<concur::codec_error>(sent(unmakeable("index 3")), [](auto const& arrived) {
        std::string const text = arrived.what();
        CHECK(text.find("index 3") != std::string::npos);
        CHECK(text.find("no way back") != std::string::npos);
        CHECK(text.find("unmakeable") != std::string::npos);
        CHECK(concur::origin_of(arrived)->pid() == worker);
        CHECK_THROWS_AS(std::rethrow_if_nested(arrived), std::domain_error);
    });
}

TEST_CASE("exceptions: texts are cut at a mebibyte and marked, whole characters") {
    std::size_t const limit = 1 << 20;
    std::string const fits(limit, 'x');
    CHECK(text_of(sent(std::runtime_error(fits))) == fits);
    auto const cut = text_of(sent(std::runtime_error(fits + "y")));
    CHECK(cut == fits + "... (cut, 1 bytes more)");
    auto const split = std::string(limit - 1, 'x') + "\xC3\xA9";
    CHECK(text_of(sent(std::runtime_error(split))) ==
          std::string(limit - 1, 'x') + "... (cut, 2 bytes more)");
}

TEST_CASE("exceptions: what goes on to a third process keeps its first origin") {
    auto const hop = [](auto const& problem) {
        return sent(sent(std::make_exception_ptr(problem), 12), 13);
    };
    auto const check = [](auto const& arrived, std::string const& name) {
        CHECK(std::string(arrived.what()) == "far");
        CHECK(concur::origin_of(arrived)->pid() == 12);
        CHECK(concur::origin_of(arrived)->type_name() == name);
    };
    as<std::length_error>(hop(std::length_error("far")),
                          [&](auto const& e) { check(e, "std::length_error"); });
    as<bad_map>(hop(bad_map("far")),
                [&](auto const& e) { check(e, "(anonymous namespace)::bad_map"); });
    as<std::out_of_range>(hop(unregistered("far")),
                          [&](auto const& e) { check(e, "(anonymous namespace)::unregistered"); });
    as<std::exception>(hop(std::exception()), [](auto const& e) {
        CHECK(dynamic_cast<std::runtime_error const*>(&e) == nullptr);
        CHECK(concur::origin_of(e)->pid() == 12);
    });
}

TEST_CASE("exceptions: no bytes at all stand for a worker without memory") {
    as<std::bad_alloc>(decode_exception({}, worker),
                       [](auto const& e) { CHECK(concur::origin_of(e)->pid() == worker); });
}

TEST_CASE("exceptions: broken bytes never do more than arrive as some exception") {
    bad_map inner("inner");
    inner.trace = {1, 2, 3};
    std::exception_ptr problem;
    try {
        try {
            throw inner;
        } catch (...) {
            std::throw_with_nested(std::system_error(EIO, std::system_category(), "outer"));
        }
    } catch (...) {
        problem = std::current_exception();
    }
    auto const whole = encode_exception(problem);
    as<std::system_error>(decode_exception(whole, worker), [](auto const&) {});

    for (std::size_t size = 1; size < whole.size(); ++size) {
        std::vector<std::byte> const part(whole.begin(), whole.begin() + std::ptrdiff_t(size));
        as<concur::codec_error>(decode_exception(part, worker), [](auto const&) {});
    }
    auto longer = whole;
    longer.push_back(std::byte(0));
    as<concur::codec_error>(decode_exception(longer, worker), [](auto const&) {});

    int broken = 0;
    for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
        auto flipped = whole;
        flipped[bit / 8] ^= std::byte(1 << (bit % 8));
        as<std::exception>(decode_exception(flipped, worker), [&](std::exception const& e) {
            broken += dynamic_cast<concur::codec_error const*>(&e) != nullptr;
        });
    }
    CHECK(broken > 0);
}

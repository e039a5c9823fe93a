// SPDX-License-Identifier: BSL-1.0
// Exceptions that know that they come from another process.
#include <concur/error.hpp>

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

namespace {

struct bad_tile : std::runtime_error {
    using std::runtime_error::runtime_error;
};

bool const registered = concur::register_exception<bad_tile>();

concur::detail::registered_exception const* entry_of_bad_tile() {
    std::size_t found = 0;
    concur::detail::registered_exception const* entry = nullptr;
    for (auto* e = concur::detail::registered_exceptions.load(); e; e = e->next) {
        if (e->type == typeid(bad_tile)) {
            entry = e;
            ++found;
        }
    }
    CHECK(found == 1);
    return entry;
}

}  // namespace

TEST_CASE("remote_origin: an exception of this process has none") {
    CHECK(concur::origin_of(std::runtime_error("here")) == nullptr);
}

TEST_CASE("register_exception: true, at namespace scope and again, and entered once") {
    CHECK(registered);
    CHECK(concur::register_exception<bad_tile>());
    CHECK(entry_of_bad_tile() != nullptr);
}

TEST_CASE("register_exception: what arrives is its own type and a remote_origin") {
    concur::detail::exception_parts const from("bad_tile", "tile 7 is torn", 4711);
    auto const* const entry = entry_of_bad_tile();
    REQUIRE(entry != nullptr);
    try {
        entry->raise(from);
        FAIL("nothing was thrown");
    } catch (bad_tile const& problem) {
        CHECK(std::string(problem.what()) == "tile 7 is torn");
        auto const* const where = concur::origin_of(problem);
        REQUIRE(where != nullptr);
        CHECK(where->type_name() == "bad_tile");
        CHECK(where->message() == "tile 7 is torn");
        CHECK(where->pid() == 4711);
    }
}

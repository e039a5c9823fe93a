// SPDX-License-Identifier: BSL-1.0
// The fields of registered exceptions that cross by the codec.
#include <concur/detail/remote/exception_fields.hpp>
#include <concur/detail/remote/exceptions.hpp>

#include <doctest/doctest.h>

#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct place {
    int row = 0;
    std::string name;
};

struct lost_tiles : std::runtime_error {
    using std::runtime_error::runtime_error;
    int code = 0;
    std::vector<double> sizes;
    std::map<std::string, int> counts;
    std::optional<place> first;

    template <class Archive>
    void serialize(Archive& ar) {
        ar(sizes, code, counts, first);
    }
};

bool const registered = concur::register_exception<lost_tiles>();

}  // namespace

TEST_CASE("exception_fields: containers and aggregates cross with the exception") {
    REQUIRE(registered);
    lost_tiles problem("three tiles are lost");
    problem.code = 7;
    problem.sizes = {0.5, 1.5};
    problem.counts = {{"north", 1}, {"south", 2}};
    problem.first = place{3, "harbour"};
    auto const bytes = concur::detail::encode_exception(std::make_exception_ptr(problem));
    try {
        std::rethrow_exception(concur::detail::decode_exception(bytes, 4711));
    } catch (lost_tiles const& arrived) {
        CHECK(std::string(arrived.what()) == "three tiles are lost");
        CHECK(arrived.code == 7);
        CHECK(arrived.sizes == problem.sizes);
        CHECK(arrived.counts == problem.counts);
        REQUIRE(arrived.first.has_value());
        CHECK(arrived.first->row == 3);
        CHECK(arrived.first->name == "harbour");
        CHECK(concur::origin_of(arrived)->pid() == 4711);
        return;
    }
    FAIL("another type arrived");
}

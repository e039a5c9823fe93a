// SPDX-License-Identifier: BSL-1.0
// expect: serialize names a field that is no number, enum or std::string
#include <concur/error.hpp>

#include <stdexcept>
#include <vector>

struct bad_tiles : std::runtime_error {
    using std::runtime_error::runtime_error;
    std::vector<int> rows;
    template <class Archive>
    void serialize(Archive& ar) {
        ar(rows);
    }
};

bool const registered = concur::register_exception<bad_tiles>();

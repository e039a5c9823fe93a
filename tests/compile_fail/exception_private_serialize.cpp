// SPDX-License-Identifier: BSL-1.0
// expect: the serialize of an exception must be public
#include <concur/error.hpp>

#include <stdexcept>

class bad_tile : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;

private:
    int row_ = 0;
    template <class Archive>
    void serialize(Archive& ar) {
        ar(row_);
    }
};

bool const registered = concur::register_exception<bad_tile>();

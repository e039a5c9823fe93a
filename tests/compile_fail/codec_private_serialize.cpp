// SPDX-License-Identifier: BSL-1.0
// A serialize that the codec may not call is not there for it.
// expect: in its public part
#include <concur/codec.hpp>

#include <string>

class page {
public:
    explicit page(std::string text) : text_(std::move(text)) {}

private:
    template <class Archive>
    void serialize(Archive& archive) {
        archive(text_);
    }
    std::string text_;
};

int main() { return static_cast<int>(concur::encode(page("a")).size()); }

// SPDX-License-Identifier: BSL-1.0
// The bridge to cereal; nothing to test where cereal is not installed.
#include <concur/cereal.hpp>

#include <doctest/doctest.h>

#if __has_include(<cereal/cereal.hpp>)

#include <cereal/types/memory.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/vector.hpp>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

using concur::decode;
using concur::encode;

namespace user {

class external {  // external function, private members
public:
    std::string text() const { return text_; }
    std::vector<double> numbers() const { return numbers_; }
    void set(std::string text, std::vector<double> numbers) {
        text_ = std::move(text);
        numbers_ = std::move(numbers);
    }

private:
    std::string text_;
    std::vector<double> numbers_;
};
template <class Archive>
void save(Archive& ar, const external& e) {
    ar(e.text(), e.numbers());
}
template <class Archive>
void load(Archive& ar, external& e) {
    std::string text;
    std::vector<double> numbers;
    ar(text, numbers);
    e.set(std::move(text), std::move(numbers));
}

struct named {  // what the codec alone cannot: named values, shared_ptr
    int id = 0;
    std::shared_ptr<std::string> text;
    template <class Archive>
    void serialize(Archive& ar) {
        ar(cereal::make_nvp("id", id), CEREAL_NVP(text));
    }
};

struct outer {
    std::vector<external> parts;
    named last;
};

}  // namespace user

template <>
inline constexpr bool concur::through_cereal<user::named> = true;

TEST_CASE("cereal: external functions, named values, inside types of the codec's") {
    user::outer value;
    value.parts.resize(2);
    value.parts[1].set("abc", {1, 2, 3});
    value.last = {7, std::make_shared<std::string>("shared")};
    const auto back = decode<user::outer>(encode(value));
    REQUIRE(back.parts.size() == 2);
    CHECK(back.parts[1].text() == "abc");
    CHECK(back.parts[1].numbers() == std::vector<double>{1, 2, 3});
    CHECK(back.last.id == 7);
    CHECK(*back.last.text == "shared");
}

TEST_CASE("cereal: truncations and overlarge lengths are codec_error") {
    user::external value;
    value.set("abc", {1, 2, 3});
    auto bytes = encode(value);
    for (std::size_t n = 0; n != bytes.size(); ++n) {
        CHECK_THROWS_AS(decode<user::external>(std::span(bytes).first(n)), concur::codec_error);
    }
    const std::uint64_t length = 200'000'000;
    std::memcpy(bytes.data(), &length, sizeof length);
    CHECK_THROWS_AS(decode<user::external>(bytes), concur::codec_error);
}

#endif

// SPDX-License-Identifier: BSL-1.0
// libFuzzer on decode(): any bytes give codec_error or a value; a value that came out goes in again
// and comes out the same.
#include <concur/codec.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <unordered_set>
#include <variant>
#include <vector>

namespace {

enum class colour : std::uint8_t { red, green };

struct point {
    float x, y;
    bool set;
    colour shade;
};
class page {
public:
    template <class A>
    void serialize(A& ar) {
        ar(text_, numbers_);
    }

private:
    std::string text_;
    std::vector<std::uint16_t> numbers_;
};
struct silent {
    template <class A>
    void serialize(A&) {}
};
struct tree {
    int value;
    std::vector<tree> children;
    std::unique_ptr<tree> other;
};
struct message {
    char kind;
    std::optional<std::optional<int>> maybe;
    std::variant<std::monostate, int, std::string, std::vector<point>> any;
    std::vector<bool> flags;
    std::map<std::string, std::set<int>> index;
    std::map<int, page> pages;
    std::unordered_set<int> unordered;
    std::deque<std::tuple<bool, std::string>> rows;
    std::string labels[2];
    std::array<std::string, 2> names;
    std::vector<std::vector<std::vector<char>>> deep;
    std::vector<silent> quiet;
    tree root;
    std::vector<point> points;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::optional<message> read;
    try {
        read = concur::decode<message>(std::as_bytes(std::span(data, size)));
    } catch (const concur::codec_error&) {
        return 0;
    }
    const auto once = concur::encode(*read);
    if (concur::encode(concur::decode<message>(once)).size() != once.size()) std::abort();
    return 0;
}

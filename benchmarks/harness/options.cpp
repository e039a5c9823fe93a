// SPDX-License-Identifier: BSL-1.0
#include "registry.hpp"

#include <fmt/core.h>
#include <charconv>

namespace bench {
namespace {

constexpr std::string_view help = R"(Usage: {} [options]
  --filter=REGEX        only problem/rival names that match
  --list                print the names and stop
  --repetitions=N       timed repetitions of each rival (default 9; quick 3)
  --workers=N[,N...]    workers of each pool (default: the CPUs this process may use)
  --quick               small inputs: shows that all works, no verdict
  --rival=NAME          the rival that ratios in the tables refer to (default concur)
  --format=console|json what goes to standard output
  --out=FILE            write JSON to FILE as well
  --quiet-wait=MS       wait up to MS for a quiet machine before each repetition (default 250; 0: never)
  --context=KEY=VALUE   add a line to the context of the JSON
)";

std::size_t number(std::string_view flag, std::string_view text, std::size_t least) {
    std::size_t value = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < least)
        throw std::invalid_argument{
            fmt::format("{}: '{}' is not a number of at least {}", flag, text, least)};
    return value;
}

std::vector<std::size_t> numbers(std::string_view flag, std::string_view text) {
    std::vector<std::size_t> values;
    for (;;) {
        auto const comma = text.find(',');
        values.push_back(number(flag, text.substr(0, comma), 1));
        if (comma == std::string_view::npos) return values;
        text.remove_prefix(comma + 1);
    }
}

bool read_format(std::string_view value) {
    if (value == "json") return true;
    if (value == "console") return false;
    throw std::invalid_argument{fmt::format("--format: '{}' is neither console nor json", value)};
}

void set(options& chosen, std::string_view key, std::string_view value) {
    if (key == "--filter")
        chosen.filter = value;
    else if (key == "--repetitions")
        chosen.repetitions = number(key, value, 1);
    else if (key == "--workers")
        chosen.workers = numbers(key, value);
    else if (key == "--quick")
        chosen.quick = true;
    else if (key == "--list")
        chosen.list = true;
    else if (key == "--rival")
        chosen.base = value;
    else if (key == "--format")
        chosen.json = read_format(value);
    else if (key == "--out")
        chosen.out = value;
    else if (key == "--quiet-wait")
        chosen.quiet = std::chrono::milliseconds{number(key, value, 0)};
    else if (key == "--child")
        chosen.child = value;
    else if (key == "--context") {
        auto const equals = value.find('=');
        if (equals == std::string_view::npos)
            throw std::invalid_argument{"--context wants KEY=VALUE"};
        chosen.context.emplace_back(value.substr(0, equals), value.substr(equals + 1));
    } else
        throw std::invalid_argument{fmt::format("unknown option {} (see --help)", key)};
}

}  // namespace

std::optional<options> parse(int argc, char** argv) {
    options chosen;
    for (std::string_view const argument :
         std::span{argv, static_cast<std::size_t>(argc)}.subspan(1)) {
        if (argument == "--help" || argument == "-h") {
            fmt::print(fmt::runtime(help), argv[0]);
            return std::nullopt;
        }
        auto const equals = argument.find('=');
        set(chosen, argument.substr(0, equals),
            equals == std::string_view::npos ? std::string_view{} : argument.substr(equals + 1));
    }
    if (chosen.repetitions == 0) chosen.repetitions = chosen.quick ? 3 : 9;
    return chosen;
}

}  // namespace bench

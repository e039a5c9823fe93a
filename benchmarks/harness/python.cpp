// SPDX-License-Identifier: BSL-1.0
#include "python.hpp"

#include <cstdio>
#include <cstdlib>
#include <memory>

namespace bench {
namespace {

struct close_pipe {
    void operator()(std::FILE* pipe) const { pclose(pipe); }
};

}  // namespace

double number_from_python(run& r, std::size_t n, std::string const& script) {
    std::string const command = "python3 - 2>/dev/null <<'END'\n" + script + "END\n";
    char line[64] = "";
    r.measure(n, [&] {
        std::unique_ptr<std::FILE, close_pipe> const pipe(popen(command.c_str(), "r"));
        if (pipe && !std::fgets(line, sizeof line, pipe.get())) line[0] = '\0';
    });
    char* end = line;
    double const value = std::strtod(line, &end);
    run::check(end != line, "python3 gave no number");
    return value;
}

}  // namespace bench

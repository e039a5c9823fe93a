// SPDX-License-Identifier: BSL-1.0
// A shared library with a pool inside.
#include "../process/pit.hpp"

using namespace process;

namespace {

int work(std::byte*, std::size_t, std::uint32_t, std::uint32_t) { return 42; }

}  // namespace

/// What a worker returned; -1 with the text of the exception.
extern "C" __attribute__((visibility("default"))) int run_in_library(int method, int patience_ms,
                                                                     char* text) {
    try {
        pit p(static_cast<start_method>(method), work);
        p.options.patience = std::chrono::milliseconds(patience_ms);
        p.open();
        p.start(0);
        return WEXITSTATUS(p.status(0));
    } catch (const concur::broken_executor& error) {
        std::strncpy(text, error.what(), 999);
        return -1;
    }
}

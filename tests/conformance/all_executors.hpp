// SPDX-License-Identifier: BSL-1.0
// All executors, also those whose tasks run in other processes.
#pragma once

#include "executors.hpp"

#include <concur/process_pool.hpp>

namespace conformance {

struct processes {
    using type = concur::process_pool;
    static constexpr const char* name = "processes";
    static constexpr bool in_process = false;
    static constexpr bool asynchronous = true;
    static constexpr bool parallel = true;
    static type make(std::size_t workers = 2) { return type({.workers = workers}); }
};

}  // namespace conformance

TYPE_TO_STRING(conformance::processes);

// An executor with a memory of its own joins by a line here.
#define CONCUR_EXECUTORS CONCUR_IN_PROCESS, conformance::processes

// SPDX-License-Identifier: BSL-1.0
// The executors of this process that every promise is tested on: one struct each, one line each in
// the list. Those of other processes stand in all_executors.hpp, which costs more to compile.
//
// in_process    tasks share the test's memory: captures by reference and std::ref work
// asynchronous  submit returns before the task has run, so a task can be seen pending
// parallel      worker_count() tasks run at once
#pragma once

#include <concur/event_loop.hpp>
#include <concur/serial_executor.hpp>
#include <concur/thread_pool.hpp>

#include <doctest/doctest.h>

#include <cstddef>

namespace conformance {

struct serial {
    using type = concur::serial_executor;
    static constexpr const char* name = "serial";
    static constexpr bool in_process = true;
    static constexpr bool asynchronous = false;
    static constexpr bool parallel = false;
    static type make(std::size_t = 1) { return type(); }
};

struct threads {
    using type = concur::thread_pool;
    static constexpr const char* name = "threads";
    static constexpr bool in_process = true;
    static constexpr bool asynchronous = true;
    static constexpr bool parallel = true;
    static type make(std::size_t workers = 2) { return type({.workers = workers}); }
};

struct loop {
    using type = concur::event_loop;
    static constexpr const char* name = "loop";
    static constexpr bool in_process = true;
    static constexpr bool asynchronous = true;
    static constexpr bool parallel = false;
    static type make(std::size_t = 1) { return type(); }
};

}  // namespace conformance

TYPE_TO_STRING(conformance::serial);
TYPE_TO_STRING(conformance::threads);
TYPE_TO_STRING(conformance::loop);

// Executors whose tasks share the test's memory. A new one joins by a line here.
#define CONCUR_IN_PROCESS conformance::serial, conformance::threads, conformance::loop

// Ends a test case on executors that the row does not list.
#define CONCUR_ONLY_IF(condition) \
    if constexpr (!(condition)) return

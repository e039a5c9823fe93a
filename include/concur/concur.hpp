// SPDX-License-Identifier: BSL-1.0
// Everything. A program that cares for its build time includes what it uses instead.
#pragma once

#include <concur/as_completed.hpp>
#include <concur/callable.hpp>
#include <concur/codec.hpp>
#include <concur/error.hpp>
#include <concur/event_loop.hpp>
#include <concur/executor.hpp>
#include <concur/future.hpp>
#include <concur/map.hpp>
#include <concur/outcome.hpp>
#include <concur/process_pool.hpp>
#include <concur/serial_executor.hpp>
#include <concur/shared_array.hpp>
#include <concur/shared_object.hpp>
#include <concur/shared_queue.hpp>
#include <concur/thread_pool.hpp>
#include <concur/wait.hpp>
#include <concur/when.hpp>
#include <concur/with_executor.hpp>

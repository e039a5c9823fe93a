// SPDX-License-Identifier: BSL-1.0
#include "problem.hpp"

namespace queues {
namespace {

using kind = bench::bar::kind;

// Nothing is required of the other two: a lock that nobody else wants is cheaper than surviving.
bench::bars const required{
    {processes, kind::time_ratio, 1, {"boost message_queue"}},
    {large, kind::time_ratio, 1, {"boost message_queue"}},
};

}  // namespace
}  // namespace queues

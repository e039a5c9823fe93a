// SPDX-License-Identifier: BSL-1.0
#include "problem.hpp"

namespace queues {
namespace {

using kind = bench::bar::kind;

bench::bars const required{
    {alone, kind::time_ratio, 1, {"boost message_queue"}},
    {threads, kind::time_ratio, 1, {"boost message_queue"}},
    {processes, kind::time_ratio, 1, {"boost message_queue"}},
    {large, kind::time_ratio, 1, {"boost message_queue"}},
};

}  // namespace
}  // namespace queues

// SPDX-License-Identifier: BSL-1.0
// std::mutex is for the threads of one process.
// expect: a shared_object is seen by several processes
#include <concur/shared_object.hpp>

#include <mutex>

int main() { concur::shared_object<std::mutex>()->lock(); }

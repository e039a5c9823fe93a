// SPDX-License-Identifier: BSL-1.0
// New here: a future may be an argument. The task starts when it holds a value, gets that value,
// and holds no worker meanwhile: a graph of tasks is plain code. Read 05_errors_and_outcomes.cpp
// next.

#include <concur/thread_pool.hpp>
#include <concur/when.hpp>

#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

std::string load(std::string const& name) { return "<" + name + ">"; }
std::string merge(std::string const& left, std::string const& right) { return left + right; }
std::size_t measure(std::string const& text) { return text.size(); }

int main() {
    concur::thread_pool pool;

    // load   load
    //    \   /
    //    merge        nobody waits here: submit() returns at once
    auto merged = pool.submit(merge, pool.submit(load, "left"), pool.submit(load, "right"));

    // Two tasks need the same result: share it.
    concur::shared_future<std::string> const text = std::move(merged).share();
    auto length = pool.submit(measure, text);
    auto twice = pool.submit(merge, text, text);
    std::printf("%s has %zu characters\n", text.get().c_str(), length.get());
    std::printf("%s\n", twice.get().c_str());

    // Many futures become one: when_all.
    std::vector<concur::future<std::size_t>> parts;
    for (char const* name : {"a", "bb", "ccc"}) {
        parts.push_back(pool.submit(measure, pool.submit(load, name)));
    }
    auto const sum = [](std::vector<std::size_t> const& values) {
        return std::accumulate(values.begin(), values.end(), std::size_t{0});
    };
    auto total = pool.submit(sum, concur::when_all(std::move(parts)));
    std::printf("%zu characters in three parts\n", total.get());
}

// Output:
// <left><right> has 13 characters
// <left><right><left><right>
// 12 characters in three parts

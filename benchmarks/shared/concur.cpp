// SPDX-License-Identifier: BSL-1.0
// concur::shared_array, the same task with a copy ("copy"), with a number instead ("an_int"), and
// on threads.
#include "problem.hpp"

#include <concur/callable.hpp>
#include <concur/process_pool.hpp>
#include <concur/shared_array.hpp>
#include <concur/thread_pool.hpp>

#include <ranges>

namespace {

using namespace sharing;
using words = concur::shared_array<std::uint64_t const>;
using bytes = concur::shared_array<std::uint8_t const>;

void run_make(bench::run& r) {
    auto const n = r.size(1000, 100);
    r.measure(n, [&] {
        for (std::size_t i = 0; i < n; ++i) bench::keep(concur::shared_array<char>(gigabyte)[0]);
    });
    r.counter("make_us", r.result().wall * 1e6 / static_cast<double>(n));
}

void run_attach(bench::run& r) {
    auto const n = r.size(300, 50);
    concur::process_pool pool{1};
    std::vector<double> taken;
    auto const look = [](concur::shared_array<char> const& a) { return a.size(); };
    r.measure(n, [&] {
        for (std::size_t i = 0; i < n; ++i) {
            concur::shared_array<char> const array(gigabyte);
            double const began = now_us();
            bool const right = pool.submit(look, array).get() == gigabyte;
            double const first = now_us();
            pool.submit(look, array).get();
            taken.push_back((first - began) - (now_us() - first));
            bench::run::check(right, "another array came");
        }
    });
    r.counter("attach_us", bench::quantile(taken, 0.5));
}

std::size_t look_at_array(concur::shared_array<char> const& a) { return a.size(); }
std::size_t look_at_number(std::size_t n) { return n; }

template <class F, class A>
void run_handle(bench::run& r, F function, A const& argument) {
    concur::process_pool pool{1};
    auto const n = r.size(20'000, 1000);
    for (int i = 0; i < 200; ++i) pool.submit(function, argument).get();
    std::vector<double> taken;
    taken.reserve(n);
    r.measure(n, [&] {
        for (std::size_t i = 0; i < n; ++i) {
            double const began = now_us();
            bool const right = pool.submit(function, argument).get() == gigabyte;
            taken.push_back((now_us() - began) * 1000);
            bench::run::check(right, "another result came back");
        }
    });
    r.counter("median_ns", bench::quantile(taken, 0.5));
}

template <class F, class A>
void run_stream(bench::run& r, F function, A const& argument) {
    concur::process_pool pool{1};
    std::size_t const n = 1000, rounds = r.size(50, 5);
    for (int i = 0; i < 200; ++i) pool.submit(function, argument).get();
    r.measure(n * rounds, [&] {
        for (std::size_t round = 0; round < rounds; ++round) {
            std::vector<concur::future<std::size_t>> all;
            all.reserve(n);
            for (std::size_t i = 0; i < n; ++i) all.push_back(pool.submit(function, argument));
            for (auto& one : all) bench::run::check(one.get() == gigabyte, "another result");
        }
    });
    r.counter("task_ns", r.result().wall * 1e9 / static_cast<double>(n * rounds));
}

void handle_of_array(bench::run& r) {
    run_handle(r, look_at_array, concur::shared_array<char>(gigabyte));
}
void handle_of_int(bench::run& r) { run_handle(r, look_at_number, gigabyte); }
void stream_of_arrays(bench::run& r) {
    run_stream(r, look_at_array, concur::shared_array<char>(gigabyte));
}
void stream_of_ints(bench::run& r) { run_stream(r, look_at_number, gigabyte); }

// What a caller has who owns the data in memory of its own is the copy's case; in a shared_array,
// the other's.
std::uint64_t sum_shared(words const& values) { return sum(values.span()); }
std::uint64_t sum_copied(std::vector<std::uint64_t> const& values) { return sum(values); }

template <std::size_t Size, class Values, class F>
void run_sum(bench::run& r, F function) {
    constexpr std::size_t length = sizes[Size] / sizeof(std::uint64_t);
    Values const values(std::vector<std::uint64_t>(length, 3));
    concur::process_pool pool{1};
    auto const n = r.size(Size < 3 ? 2000 : 50, 20);
    for (int i = 0; i < 5; ++i) pool.submit(function, values).get();
    std::vector<double> taken;
    r.measure(n, [&] {
        for (std::size_t i = 0; i < n; ++i) {
            double const began = now_us();
            bool const right = pool.submit(function, values).get() == 3 * length;
            taken.push_back(now_us() - began);
            bench::run::check(right, "a wrong sum");
        }
    });
    r.counter("median_us", bench::quantile(taken, 0.5));
}
template <std::size_t Size>
void by_handle(bench::run& r) {
    run_sum<Size, concur::shared_array<std::uint64_t>>(
        r, [](concur::shared_array<std::uint64_t> const& a) { return sum_shared(a); });
}
template <std::size_t Size>
void by_copy(bench::run& r) {
    run_sum<Size, std::vector<std::uint64_t>>(r, sum_copied);
}

int distance_of_pair(bytes const& matrix, std::uint32_t i) {
    return distance(matrix.span(), from_of(i), to_of(i));
}

template <class Pool>
void run_graph(bench::run& r) {
    auto const n = static_cast<std::uint32_t>(r.size(200, 40));
    Pool pool{{.workers = r.workers()}};
    bytes const matrix = concur::shared_array<std::uint8_t>(graph_matrix());
    auto const pairs = std::views::iota(std::uint32_t{0}, n);
    auto const find = [&] {
        return pool.map(concur::partial(distance_of_pair, matrix), pairs).collect();
    };
    std::vector<int> found = find();  // every worker has seen every page
    r.measure(n, [&] { found = find(); });
    check_distances(found);
    r.counter("graph_ms", r.result().wall * 1e3);
}

void run_graph_serially(bench::run& r) {
    auto const n = static_cast<std::uint32_t>(r.size(200, 40));
    std::vector<int> found;
    graph_matrix();
    r.measure(n, [&] {
        for (std::uint32_t i = 0; i < n; ++i)
            found.push_back(distance(graph_matrix(), from_of(i), to_of(i)));
    });
    r.counter("graph_ms", r.result().wall * 1e3);
}

bench::rival const shares{"concur",
                          {{make, run_make},
                           {attach, run_attach},
                           {handle, handle_of_array},
                           {stream, stream_of_arrays},
                           {by_size[0], by_handle<0>},
                           {by_size[1], by_handle<1>},
                           {by_size[2], by_handle<2>},
                           {by_size[3], by_handle<3>},
                           {by_size[4], by_handle<4>},
                           {graph, run_graph<concur::process_pool>}}};
bench::rival const copies{"copy",
                          {{by_size[0], by_copy<0>},
                           {by_size[1], by_copy<1>},
                           {by_size[2], by_copy<2>},
                           {by_size[3], by_copy<3>},
                           {by_size[4], by_copy<4>}}};
bench::rival const number{"an_int", {{handle, handle_of_int}, {stream, stream_of_ints}}};
bench::rival const threads{"threads", {{graph, run_graph<concur::thread_pool>}}};
bench::rival const serial{"serial", {{graph, run_graph_serially}}};

}  // namespace

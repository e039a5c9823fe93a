// SPDX-License-Identifier: BSL-1.0
// concur's codec, as process_pool uses it: a size pass where sizes vary, then one exact write.
#include "problem.hpp"

#include <concur/codec.hpp>

#include <new>
#include <numeric>

namespace {

using namespace concur::detail;

/// A frame at a 64-byte boundary, touched already.
struct alignas(64) line {
    std::byte bytes[64];
};
using room = std::vector<line>;
room make_room(std::size_t bytes) { return room(bytes / 64 + 2); }

void encode_doubles(bench::run& r) {
    auto const n = r.size(1'000'000, 100'000);
    std::vector<double> values(n);
    std::iota(values.begin(), values.end(), 0.0);
    room frame = make_room(8 * n + 8);
    r.measure(n, [&] {
        size_pass size;
        size(values);
        write_pass write(frame[0].bytes, size.bytes());
        write(values);
    });
    read_pass read(frame[0].bytes, 8 * n + 8);
    bench::run::check(read.get<std::vector<double>>() == values, "other doubles came back");
}

// In batches: read at once, a struct would be timed while it is still on its way to the cache.
void plain_struct(bench::run& r) {
    constexpr std::size_t batch = 256;
    auto const n = r.size(1'000'000, 100'000) / batch * batch;
    std::vector<coding::scalars> values(batch);
    for (std::size_t i = 0; i < batch; ++i) values[i] = {static_cast<int>(i), 1, 2, 3, 'x'};
    std::vector<coding::scalars> back(batch);
    room frames = make_room(batch * sizeof(line));
    r.measure(n, [&] {
        for (std::size_t done = 0; done < n; done += batch) {
            for (std::size_t i = 0; i < batch; ++i) {
                write_pass write(frames[i].bytes, sizeof(coding::scalars));
                write(values[i]);
            }
            asm volatile("" ::"r"(frames.data()) : "memory");
            for (std::size_t i = 0; i < batch; ++i) {
                read_pass read(frames[i].bytes, sizeof(coding::scalars));
                new (&back[i]) coding::scalars(read.get<coding::scalars>());
            }
            asm volatile("" ::"r"(back.data()) : "memory");
        }
    });
    for (std::size_t i = 0; i < batch; ++i) {
        bench::run::check(back[i].id == static_cast<int>(i) && back[i].z == 3,
                          "other structs came back");
    }
}

void nested(bench::run& r) {
    auto const n = r.size(10'000, 1'000);
    auto const values = coding::make_sims(n);
    std::size_t back = 0;
    r.measure(n, [&] {
        size_pass size;
        size(values);
        room frame = make_room(size.bytes());
        write_pass write(frame[0].bytes, size.bytes());
        write(values);
        read_pass read(frame[0].bytes, size.bytes());
        auto const read_back = read.get<std::vector<coding::sim>>();
        read.require_end();
        back = read_back.size() + read_back.back().tags.size();
    });
    bench::run::check(back == n + 3, "other records came back");
    r.counter("record_ns", r.result().wall * 1e9 / static_cast<double>(n));
}

bench::rival const rival{
    "concur",
    {{coding::doubles, encode_doubles}, {coding::plain, plain_struct}, {coding::nested, nested}}};

}  // namespace

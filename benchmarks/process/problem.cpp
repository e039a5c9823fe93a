// SPDX-License-Identifier: BSL-1.0
#include "problem.hpp"

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

namespace processes {
namespace {

// Read before anything is pinned.
std::vector<int> const usable = [] {
    cpu_set_t set;
    std::vector<int> found;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return found;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) found.push_back(cpu);
    return found;
}();

void report_trips(bench::run& r, std::vector<double>& taken) {
    r.counter("median_ns", bench::quantile(taken, 0.5));
    r.counter("p99_ns", bench::quantile(taken, 0.99));
}

}  // namespace

int cpu_number(std::size_t nth) { return usable.at(nth % usable.size()); }

void pin_to_cpu(int number) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(number), &set);
    bench::run::check(sched_setaffinity(0, sizeof set, &set) == 0, "sched_setaffinity failed");
}

void pin(std::size_t nth) { pin_to_cpu(cpu_number(nth)); }

double now_ns() {
    return std::chrono::duration<double, std::nano>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

// One trip is hardly longer than reading the clock: so 64 at a time.
void measure_hot_with(bench::run& r, std::uint64_t (*trip)(void*, std::uint64_t), void* self) {
    constexpr std::size_t batch = 64;
    std::size_t const batches = r.size(2000, 100);
    for (std::uint64_t i = 0; i < 10 * batch; ++i) trip(self, i);
    std::vector<double> taken;
    taken.reserve(batches);
    bool right = true;
    r.measure(batches * batch, [&] {
        for (std::uint64_t i = 0; i < batches * batch;) {
            double const start = now_ns();
            for (std::size_t k = 0; k < batch; ++k, ++i) right = trip(self, i) == i && right;
            taken.push_back((now_ns() - start) / batch);
        }
    });
    bench::run::check(right, "another task's result came back");
    report_trips(r, taken);
}

void measure_blocked_with(bench::run& r, std::uint64_t (*trip)(void*, std::uint64_t), void* self) {
    std::size_t const trips = r.size(1500, 100);
    std::vector<double> taken;
    taken.reserve(trips);
    for (std::uint64_t i = 0; i < 20; ++i) trip(self, i);
    r.measure(trips, [&] {
        for (std::uint64_t i = 0; i < trips; ++i) {
            std::this_thread::sleep_for(std::chrono::microseconds{300});
            double const start = now_ns();
            std::uint64_t const back = trip(self, i);
            taken.push_back(now_ns() - start);
            bench::run::check(back == i, "another task's result came back");
        }
    });
    report_trips(r, taken);
}

void check_hashes(std::vector<std::uint32_t> const& output, std::size_t n) {
    bench::run::check(output.size() == n, "the result has another size");
    for (std::size_t i = 0; i < n; ++i)
        bench::run::check(output[i] == mix32(static_cast<std::uint32_t>(i)), "a wrong hash");
}

ballast::ballast(std::size_t bytes)
    : bytes_{bytes},
      memory_{mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)} {
    bench::run::check(memory_ != MAP_FAILED, "no memory");
    madvise(memory_, bytes_, MADV_NOHUGEPAGE);
    for (std::size_t at = 0; at < bytes_; at += 4096) static_cast<char volatile*>(memory_)[at] = 1;
}

ballast::~ballast() { munmap(memory_, bytes_); }

std::size_t deaths(bench::run const& r, bool of_2gb) {
    return of_2gb ? r.size(5, 2) : r.size(200, 10);
}

void report_deaths(bench::run& r, std::vector<double>& taken_ns) {
    r.counter("p50_us", bench::quantile(taken_ns, 0.5) / 1000);
    r.counter("p99_us", bench::quantile(taken_ns, 0.99) / 1000);
}

double cpu_seconds_of(int pid) {
    double nanoseconds = 0;
    for (auto const& thread :
         std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
        // Without the thread that asks: reading all this is its work, not the pool's.
        if (thread.path().filename() == std::to_string(gettid())) continue;
        double ran = 0;
        std::ifstream(thread.path() / "schedstat") >> ran;
        nanoseconds += ran;
    }
    return nanoseconds / 1e9;
}

double private_kib_of(int pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
    bench::run::check(file.good(), "no /proc/<pid>/smaps_rollup");
    double sum = 0;
    for (std::string word; file >> word;) {
        double kib = 0;
        if (word == "Private_Clean:" || word == "Private_Dirty:") file >> kib;
        sum += kib;
    }
    return sum;
}

int parent_of(int pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    int parent = 0;
    for (std::string word; file >> word;)
        if (word == "PPid:") file >> parent;
    return parent;
}

namespace {

using kind = bench::bar::kind;

bench::bars const required{
    {hot, kind::time_ratio, 1.5, {"spin"}},
    {blocked_2, kind::time_ratio, 1.15, {"futex"}},
    {blocked_1, kind::time_ratio, 1.15, {"futex"}},
    {empty_tasks, kind::absolute, 100},
    {empty_tasks, kind::time_ratio, 1.0 / 500, {"python"}},
    {empty_tasks, kind::time_ratio, 1.0, {"asio_threads"}},
    {map_cheap, kind::time_ratio, 1.2, {"threads"}},
    {map_lazy, kind::time_ratio, 1.2, {"threads"}},
    {start_small, kind::time_ratio, 1.5, {"spawn"}},
    {start_2gb, kind::time_ratio, 1.5, {"spawn"}},
    {death_small, kind::absolute, 5000},
    {death_2gb, kind::absolute, 5000},
    {transfer, kind::time_ratio, 1.3, {"memcpy"}},
    {large, kind::time_ratio, 0.2, {"python"}},
    {idle_cpu, kind::absolute, 0.05},
    {memory, kind::absolute, 300},
};

}  // namespace
}  // namespace processes

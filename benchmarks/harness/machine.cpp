// SPDX-License-Identifier: BSL-1.0
#include "machine.hpp"

#include "../harness.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <pthread.h>
#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>
#include <thread>

namespace bench {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

std::string first_line(char const* path) {
    std::ifstream file{path};
    std::string line;
    std::getline(file, line);
    return line;
}

std::string cpuinfo(std::string_view key) {
    std::ifstream file{"/proc/cpuinfo"};
    for (std::string line; std::getline(file, line);)
        if (line.starts_with(key))
            if (auto const colon = line.find(": "); colon != std::string::npos)
                return line.substr(colon + 2);
    return {};
}

/// CPUs that the cgroup grants, as "1.50", or "none". Version 2 first, then version 1, at the usual
/// mount points.
std::string cgroup_quota() {
    std::istringstream v2{first_line("/sys/fs/cgroup/cpu.max")};
    std::string quota;
    double period = 0;
    if (v2 >> quota >> period)
        return quota == "max" ? "none" : fmt::format("{:.2f}", std::stod(quota) / period);
    std::string const v1 = first_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
    std::string const v1_period = first_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
    if (v1.empty() || v1_period.empty() || v1.starts_with('-')) return "none";
    return fmt::format("{:.2f}", std::stod(v1) / std::stod(v1_period));
}

std::string now_as_iso8601() {
    std::time_t const now = std::time(nullptr);
    std::tm local{};
    localtime_r(&now, &local);
    char text[64];
    std::string const date{text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S%z", &local)};
    // "+0200" is not how RFC 3339, and Google Benchmark, write a time zone.
    std::size_t const minutes = date.size() - 2;
    return date.substr(0, minutes) + ":" + date.substr(minutes);
}

std::string compiler() {
#if defined(__clang__)
    return fmt::format("clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
    return fmt::format("g++ {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
}

/// Loops that a thread pinned to `cpu` does from `start` to `end`: fewer when somebody else uses
/// that CPU.
double work_on(int cpu, steady_clock::time_point start, steady_clock::time_point end) {
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(static_cast<std::size_t>(cpu), &only);
    pthread_setaffinity_np(pthread_self(), sizeof only, &only);
    double loops = 0;
    for (auto now = start; now < end; now = steady_clock::now()) loops += now > start ? 1 : 0;
    return loops;
}

/// The least that any CPU delivers, as part of the most that it ever delivered. All work during the
/// very same 4 ms: a host may run two virtual CPUs in turns on one real CPU, where probes with
/// windows of their own would see nothing.
double delivered() {
    static std::vector<int> const cpus = affinity_cpus();
    static std::vector<double> best(cpus.size(), 0.0);
    std::vector<double> loops(cpus.size());
    auto const start = steady_clock::now() + 200us;
    {
        std::vector<std::jthread> probes;
        for (std::size_t i = 0; i < cpus.size(); ++i)
            probes.emplace_back([&, i] { loops[i] = work_on(cpus[i], start, start + 4ms); });
    }
    double least = 1;
    for (std::size_t i = 0; i < cpus.size(); ++i) {
        best[i] = std::max(best[i], loops[i]);
        least = std::min(least, loops[i] / best[i]);
    }
    return least;
}

bool process_is_idle() {
    auto const start = steady_clock::now();
    double const cpu = process_cpu_seconds();
    std::this_thread::sleep_for(1ms);
    std::chrono::duration<double> const wall = steady_clock::now() - start;
    return process_cpu_seconds() - cpu < 0.1 * wall.count();
}

}  // namespace

std::vector<int> affinity_cpus() {
    cpu_set_t mask;
    CPU_ZERO(&mask);
    sched_getaffinity(0, sizeof mask, &mask);
    std::vector<int> cpus;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(static_cast<std::size_t>(cpu), &mask)) cpus.push_back(cpu);
    return cpus;
}

std::vector<fact> describe_machine() {
    utsname system{};
    uname(&system);
    char executable[4096];
    auto const length = readlink("/proc/self/exe", executable, sizeof executable);
    double load[3] = {};
    getloadavg(load, 3);
    std::string const mhz = cpuinfo("cpu MHz");
#ifdef NDEBUG
    char const* const build = "release";
#else
    char const* const build = "debug";
#endif
    return {
        {"date", now_as_iso8601()},
        {"host_name", system.nodename},
        {"executable", std::string{executable, length > 0 ? static_cast<std::size_t>(length) : 0}},
        {"num_cpus", fmt::format("{}", sysconf(_SC_NPROCESSORS_ONLN)), false},
        {"mhz_per_cpu", mhz.empty() ? "0" : fmt::format("{:.0f}", std::stod(mhz)), false},
        {"cpu_scaling_enabled",
         first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").empty() ? "false"
                                                                                     : "true",
         false},
        {"load_avg", fmt::format("[{:.2f},{:.2f},{:.2f}]", load[0], load[1], load[2]), false},
        {"library_build_type", build},
        {"json_schema_version", "1", false},
        {"cpu_model", cpuinfo("model name")},
        {"compiler", compiler()},
        {"kernel", fmt::format("{} {}", system.sysname, system.release)},
        {"affinity_cpus", fmt::format("[{}]", fmt::join(affinity_cpus(), ",")), false},
        {"cgroup_cpu_quota", cgroup_quota()},
    };
}

bool wait_until_quiet(std::chrono::milliseconds limit) {
    auto const give_up = steady_clock::now() + limit;
    do {
        if (process_is_idle() && delivered() >= 0.9) return true;
    } while (steady_clock::now() < give_up);
    return false;
}

}  // namespace bench

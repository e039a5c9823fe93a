// SPDX-License-Identifier: BSL-1.0
// Runs random tasks on a process_pool for some time while workers, their parent, the fork server
// and whole programs are killed or stopped at random; checks every result.
//
//   torture [seconds = 60] [workers = 3] [seed]
//
// Fails when a result is wrong, a task is lost, a wait takes too long, more tasks are lost than
// workers were killed, or anything is left behind.
#include "../process/proc_tree.hpp"

#include <concur/process_pool.hpp>
#include <concur/shared_array.hpp>
#include <concur/shared_queue.hpp>

#include <sys/resource.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace process;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& what) {
    std::fprintf(stderr, "torture: %s\n", what.c_str());
    std::fflush(stderr);
    for (const int pid : descendants_of(getpid()))
        std::fprintf(stderr, "  %s",
                     file_content("/proc/" + std::to_string(pid) + "/stat").c_str());
    std::abort();
}

void require(bool holds, const char* what) {
    if (!holds) fail(what);
}

struct dice {
    std::mt19937_64 engine;
    int below(int n) { return static_cast<int>(engine() % static_cast<std::uint64_t>(n)); }
    bool one_in(int n) { return below(n) == 0; }
};

// ---- tasks

std::uint64_t mixed(std::uint64_t x) {
    x ^= x >> 31;
    x *= 0x9e3779b97f4a7c15;
    return x ^ (x >> 29);
}

std::uint64_t quick(std::uint64_t x) { return mixed(x); }

std::uint64_t slow(std::uint64_t x, int microseconds) {
    const auto end = steady_clock::now() + std::chrono::microseconds(microseconds);
    while (steady_clock::now() < end) {
    }
    return mixed(x);
}

std::vector<std::uint64_t> many(std::vector<std::uint64_t> values) {
    for (auto& value : values) value = mixed(value);
    return values;
}

using shared_numbers = concur::shared_array<std::uint64_t>;

std::uint64_t total(concur::shared_array<const std::uint64_t> values) {
    std::uint64_t sum = 0;
    for (const auto value : values) sum += value;
    return sum;
}

shared_numbers made_there(std::uint64_t x) { return {x % 3000, mixed(x)}; }

/// A value and its mixed one, so that a reader knows a torn pair.
struct checked_number {
    std::uint64_t x, mixed;
};
using number_queue = concur::shared_queue<checked_number>;

bool push_pair(number_queue queue, std::uint64_t x) { return queue.try_push({x, mixed(x)}); }

bool pop_pair(number_queue queue) {
    const auto pair = queue.try_pop();
    if (pair && pair->mixed != mixed(pair->x)) throw std::logic_error("a torn pair");
    return pair.has_value();
}

std::string wrong(std::uint64_t x) { throw std::out_of_range(std::to_string(mixed(x))); }

struct item_of_map {
    int pause;
    std::vector<std::uint64_t> operator()(int item) const {
        if (pause != 0) slow(0, pause);
        const auto x = static_cast<std::uint64_t>(item);
        return std::vector<std::uint64_t>(mixed(x) % 50, mixed(x));
    }
};

struct figures {
    std::atomic<std::uint64_t> tasks = 0, items = 0, lost = 0, rounds = 0;
    std::atomic<std::uint64_t> kills = 0, may_lose = 0, stops = 0, nurseries = 0, servers = 0,
                               programs = 0;
};

/// The value, or nothing when the worker was lost.
template <class T>
std::optional<T> result_of(concur::future<T>& task, figures& count) {
    if (task.wait_for(60s) != std::future_status::ready) fail("a task takes more than 60 s");
    ++count.tasks;
    try {
        return task.get();
    } catch (const concur::worker_lost& lost) {
        require(lost.signal() == SIGKILL, "a worker was lost by itself");
        ++count.lost;
    }
    return std::nullopt;
}

void run_tasks(concur::process_pool& pool, dice& random, figures& count) {
    const int n = 1 + random.below(random.one_in(4) ? 3000 : 50);
    std::vector<std::pair<std::uint64_t, concur::future<std::uint64_t>>> numbers;
    std::vector<std::pair<std::uint64_t, concur::future<std::string>>> failures;
    std::vector<std::pair<std::vector<std::uint64_t>, concur::future<std::vector<std::uint64_t>>>>
        vectors;
    for (int i = 0; i != n; ++i) {
        const auto x = random.engine();
        switch (random.below(8)) {
            case 0:
                failures.emplace_back(x, pool.submit(&wrong, x));
                break;
            case 1: {
                std::vector<std::uint64_t> values(x % (random.one_in(50) ? 100'000 : 100), x);
                vectors.emplace_back(values, pool.submit(&many, values));
                break;
            }
            case 2:
                numbers.emplace_back(x, pool.submit(&slow, x, random.below(500)));
                break;
            case 3:
                numbers.emplace_back(x, pool.submit({.priority = random.below(3) - 1}, &quick, x));
                break;
            default:
                numbers.emplace_back(x, pool.submit(&quick, x));
        }
    }
    for (auto& [x, task] : numbers) {
        const auto value = result_of(task, count);
        if (value) require(*value == mixed(x), "a wrong number");
    }
    for (auto& [values, task] : vectors) {
        const auto result = result_of(task, count);
        if (result) require(*result == many(values), "a wrong vector");
    }
    for (auto& [x, task] : failures) {
        try {
            require(!result_of(task, count), "no exception");
        } catch (const std::out_of_range& error) {
            require(error.what() == std::to_string(mixed(x)), "a wrong exception");
        }
    }
}

void share(concur::process_pool& pool, dice& random, figures& count) {
    const int n = 1 + random.below(200);
    std::vector<std::pair<std::uint64_t, concur::future<std::uint64_t>>> sums;
    std::vector<std::pair<std::uint64_t, concur::future<shared_numbers>>> arrays;
    std::vector<concur::future<bool>> pushes, pops;
    const number_queue queue(1 + random.below(100));
    for (int i = 0; i != n; ++i) {
        const auto x = random.engine();
        switch (random.below(4)) {
            case 0: {
                const shared_numbers values(x % 3000, x);
                sums.emplace_back(x * (x % 3000), pool.submit(&total, values));
                break;
            }
            case 1:
                arrays.emplace_back(x, pool.submit(&made_there, x));
                break;
            case 2:
                pushes.push_back(pool.submit(&push_pair, queue, x));
                break;
            default:
                pops.push_back(pool.submit(&pop_pair, queue));
        }
    }
    for (auto& [sum, task] : sums) {
        const auto value = result_of(task, count);
        if (value) require(*value == sum, "a wrong sum of shared numbers");
    }
    for (auto& [x, task] : arrays) {
        const auto values = result_of(task, count);
        if (!values) continue;
        require(values->size() == x % 3000, "a shared array of another size");
        require(total(*values) == mixed(x) * (x % 3000), "wrong numbers in a shared array");
    }
    // Who was killed may have pushed or popped without saying so.
    std::uint64_t pushed = 0, popped = 0, unknown = 0;
    for (auto& task : pushes) {
        const auto said = result_of(task, count);
        said ? pushed += *said : ++unknown;
    }
    for (auto& task : pops) {
        const auto said = result_of(task, count);
        said ? popped += *said : ++unknown;
    }
    while (pop_pair(queue)) ++popped;
    require(popped <= pushed + unknown && pushed <= popped + unknown,
            "items of a shared queue are lost, or came twice");
}

void run_map(concur::process_pool& pool, dice& random, figures& count) {
    std::vector<int> items(static_cast<std::size_t>(1 + random.below(2000)));
    for (auto& item : items) item = random.below(1000);
    const std::size_t chunk = random.one_in(2) ? 0 : static_cast<std::size_t>(random.below(60));
    std::size_t i = 0;
    const auto pause = random.one_in(2) ? random.below(200) : 0;
    for (const auto& result :
         pool.map({.chunk_size = chunk}, item_of_map{pause}, items).outcomes()) {
        ++count.items;
        if (result.has_value()) {
            require(*result == item_of_map{0}(items[i]), "a wrong item");
        } else {
            try {
                std::rethrow_exception(result.error());
            } catch (const concur::worker_lost&) {
                ++count.lost;
            }
        }
        ++i;
        if (random.one_in(5000)) return;  // what is left is dropped
    }
    require(i == items.size(), "items are missing");
}

void work(concur::process_pool& pool, dice random, figures& count, steady_clock::time_point end) {
    while (steady_clock::now() < end) {
        if (random.one_in(3))
            run_map(pool, random, count);
        else if (random.one_in(3))
            share(pool, random, count);
        else
            run_tasks(pool, random, count);
        ++count.rounds;
    }
}

// ---- kills

std::vector<int> called(const std::string& name) {
    std::vector<int> all;
    for (const int pid : descendants_of(getpid()))
        if (is_called(pid, name)) all.push_back(pid);
    return all;
}

/// One that is alive, or 0.
int one_of(const std::vector<int>& pids, dice& random) {
    if (pids.empty()) return 0;
    return pids[static_cast<std::size_t>(random.below(static_cast<int>(pids.size())))];
}

/// The workers that run, for the killer: a pool gives up when several in a row die before they can
/// run anything, which on a busy machine takes some 100 ms.
struct say_started {
    concur::shared_array<int> pids;
    void operator()(std::size_t worker) const {
        std::atomic_ref(pids[worker]).store(static_cast<int>(getpid()));
    }
    bool has(int pid) const {
        for (auto& one : pids)
            if (std::atomic_ref(one).load() == pid) return true;
        return false;
    }
};

void kill_at_random(const say_started& started, dice random, figures& count,
                    const std::atomic<bool>& over) {
    const auto workers = started.pids.size();
    while (!over) {
        std::this_thread::sleep_for(std::chrono::microseconds(random.below(50'000)));
        const int what = random.below(40);
        if (what == 0) {
            const int pid = one_of(called("concur nursery"), random);
            count.may_lose += workers;
            if (pid != 0 && kill(pid, SIGKILL) == 0) ++count.nurseries;
        } else if (what == 1) {
            const int pid = one_of(called("concur server"), random);
            if (pid != 0 && kill(pid, SIGKILL) == 0) ++count.servers;
        } else if (const int pid = one_of(called("concur worker"), random);
                   pid == 0 || (!started.has(pid) && !random.one_in(100))) {
            continue;
        } else if (what < 10) {
            if (kill(pid, SIGSTOP) == 0) ++count.stops;
            std::this_thread::sleep_for(std::chrono::microseconds(random.below(20'000)));
            kill(pid, SIGCONT);
        } else {
            ++count.may_lose;
            if (kill(pid, SIGKILL) == 0) ++count.kills;
        }
    }
}

/// A program that works is killed: nothing of it stays.
void kill_program(dice& random, figures& count) {
    const pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "torture", "--victim", static_cast<char*>(nullptr));
        _exit(127);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(random.below(300)));
    const auto all = descendants_of(child);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    ++count.programs;
    const auto end = steady_clock::now() + 20s;
    for (const int pid : all) {
        for (;;) {
            const auto text = file_content("/proc/" + std::to_string(pid) + "/stat");
            if (text.empty() || text.find(") Z") != text.npos) break;
            if (!is_called(pid, "concur worker") && !is_called(pid, "concur nursery") &&
                !is_called(pid, "concur server") && !is_called(pid, "torture"))
                break;  // another process has got its number
            if (steady_clock::now() > end) fail("a process of a killed program lives");
            std::this_thread::sleep_for(1ms);
        }
    }
}

std::size_t open_files() { return entries_of("/proc/self/fd"); }

int torture(int seconds, std::size_t workers, std::uint64_t seed) {
    dice random{std::mt19937_64(seed)};
    figures count;
    concur::process_pool(1).submit([] {}).get();  // the fork server is there before and after
    const auto files = open_files();
    const auto names = entries_of("/dev/shm");
    const auto end = steady_clock::now() + std::chrono::seconds(seconds);
    const concur::start_method methods[] = {
        concur::start_method::forkserver, concur::start_method::fork, concur::start_method::spawn};
    for (int round = 0; steady_clock::now() < end; ++round) {
        const auto until = std::min(end, steady_clock::now() + 10s);
        const say_started started{concur::shared_array<int>(workers)};
        concur::process_pool pool({.workers = workers,
                                   .initializer = started,
                                   .max_tasks_per_worker = round % 4 == 3 ? 1000 : 0,
                                   .start = methods[round % 3]});
        std::atomic<bool> over = false;
        std::thread killer([&, dealt = dice{std::mt19937_64(random.engine())}] {
            kill_at_random(started, dealt, count, over);
        });
        std::thread other([&, dealt = dice{std::mt19937_64(random.engine())}] {
            work(pool, dealt, count, until);
        });
        work(pool, dice{std::mt19937_64(random.engine())}, count, until);
        other.join();
        over = true;
        killer.join();
        pool.wait_idle();
        const auto stats = pool.stats();
        require(stats.pending == 0 && stats.running == 0, "an idle pool has tasks");
        require(stats.submitted == stats.completed + stats.failed + stats.cancelled,
                "the statistics have lost a task");
        kill_program(random, count);
    }
    std::printf(
        "%llu tasks and %llu items in %llu rounds; %llu workers, %llu nurseries, %llu fork "
        "servers, %llu programs killed, %llu stops; %llu tasks lost\n",
        static_cast<unsigned long long>(count.tasks), static_cast<unsigned long long>(count.items),
        static_cast<unsigned long long>(count.rounds), static_cast<unsigned long long>(count.kills),
        static_cast<unsigned long long>(count.nurseries),
        static_cast<unsigned long long>(count.servers),
        static_cast<unsigned long long>(count.programs),
        static_cast<unsigned long long>(count.stops), static_cast<unsigned long long>(count.lost));
    require(count.lost <= count.may_lose, "more tasks are lost than workers were killed");
    concur::process_pool(1).submit([] {}).get();
    concur::detail::shared_registry::get().trim();  // what is kept for the next array
    const auto patience = steady_clock::now() + 20s;
    while (descendants_of(getpid()).size() != 1 || open_files() != files) {
        if (steady_clock::now() > patience) fail("something is left behind");
        std::this_thread::sleep_for(1ms);
    }
    require(names == entries_of("/dev/shm"), "a name in /dev/shm");
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const rlimit no_dumps{0, 0};
    setrlimit(RLIMIT_CORE, &no_dumps);
    if (argc == 2 && std::string(argv[1]) == "--victim") {
        figures count;
        concur::process_pool pool(2);
        work(pool, {}, count, steady_clock::now() + 60s);
        return 0;
    }
    const int seconds = argc > 1 ? std::atoi(argv[1]) : 60;
    const auto workers = static_cast<std::size_t>(argc > 2 ? std::atoi(argv[2]) : 3);
    const auto seed = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : std::random_device()();
    std::printf("torture: %d s, %zu workers, seed %llu\n", seconds, workers,
                static_cast<unsigned long long>(seed));
    std::fflush(stdout);
    return torture(seconds, workers, seed);
}

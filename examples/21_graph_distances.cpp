// SPDX-License-Identifier: BSL-1.0
// How many steps from one vertex of a graph to another? Three ways to give many tasks one large
// matrix: copied to each, in shared memory, and threads. Each result is checked against a
// breadth-first search. Read docs/08-shared-memory.md next.

#include <concur/callable.hpp>
#include <concur/process_pool.hpp>
#include <concur/shared_array.hpp>
#include <concur/thread_pool.hpp>

#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <queue>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

using cells = std::vector<std::uint8_t>;
using shared_cells = concur::shared_array<std::uint8_t const>;
using pair = std::pair<std::uint32_t, std::uint32_t>;
constexpr int unreachable = -1, limit = 20;

// Vector times matrix, again and again: which vertices are reached with one step more.
int distance(std::span<std::uint8_t const> matrix, std::size_t n, pair ends) {
    if (ends.first == ends.second) return 0;
    cells reached(n, 0), next(n);
    reached[ends.first] = 1;
    for (int hops = 1; hops <= limit; ++hops) {
        next = reached;
        for (std::size_t from = 0; from < n; ++from) {
            if (reached[from] == 0) continue;
            auto const row = matrix.subspan(from * n, n);
            for (std::size_t to = 0; to < n; ++to) next[to] |= row[to];
        }
        if (next[ends.second] != 0) return hops;
        if (next == reached) break;
        reached.swap(next);
    }
    return unreachable;
}

int by_copy(cells matrix, std::size_t n, pair ends) { return distance(matrix, n, ends); }
int by_handle(shared_cells matrix, std::size_t n, pair ends) {
    return distance(matrix.span(), n, ends);
}

int by_search(cells const& matrix, std::size_t n, pair ends) {
    std::vector<int> hops(n, unreachable);
    std::queue<std::size_t> open;
    hops[ends.first] = 0;
    for (open.push(ends.first); !open.empty(); open.pop()) {
        auto const at = open.front();
        for (std::size_t to = 0; to < n; ++to) {
            if (matrix[at * n + to] == 0 || hops[to] != unreachable) continue;
            hops[to] = hops[at] + 1;
            open.push(to);
        }
    }
    return hops[ends.second] <= limit ? hops[ends.second] : unreachable;
}

// The three ways ---------------------------------------------------------------------------------

double since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
        .count();
}

// Resident kilobytes of a worker that are its own.
long private_memory() {
    std::ifstream file("/proc/self/statm");
    long all = 0, resident = 0, shared = 0;
    file >> all >> resident >> shared;
    return (resident - shared) * 4;
}

template <class Pool, class F>
std::vector<int> run(char const* way, Pool& pool, F f, std::vector<pair> const& pairs,
                     std::size_t moved, bool print) {
    pool.submit([] {}).get();
    auto const before = pool.submit(private_memory).get();
    auto const began = std::chrono::steady_clock::now();
    std::vector<concur::future<int>> tasks;
    for (pair ends : pairs) tasks.push_back(f(pool, ends));
    std::vector<int> distances;
    for (auto& task : tasks) distances.push_back(task.get());
    auto const took = since(began);
    auto const grown = pool.submit(private_memory).get() - before;
    if (print) {
        std::printf("  %-16s %8.1f ms %10.1f MB moved %8ld KB more in a worker\n", way, took,
                    static_cast<double>(moved) / 1e6, grown);
    }
    return distances;
}

bool all_ways(char const* name, cells const& matrix, std::size_t n, std::vector<pair> const& pairs,
              bool print) {
    concur::process_pool processes(2);
    concur::thread_pool threads(2);
    if (print) std::printf("%s: %zu vertices, %zu pairs\n", name, n, pairs.size());

    std::vector<int> truth;
    for (pair ends : pairs) truth.push_back(by_search(matrix, n, ends));

    auto const copied = run(
        "(a) copied", processes,
        [&](auto& pool, pair ends) { return pool.submit(by_copy, matrix, n, ends); }, pairs,
        pairs.size() * matrix.size(), print);
    shared_cells const shared = concur::shared_array<std::uint8_t>(matrix);
    auto const handed = run(
        "(b) shared_array", processes,
        [&](auto& pool, pair ends) { return pool.submit(by_handle, shared, n, ends); }, pairs,
        pairs.size() * 32, print);
    auto const threaded = run(
        "(c) threads", threads,
        [&](auto& pool, pair ends) { return pool.submit(by_handle, shared, n, ends); }, pairs, 0,
        print);
    return copied == truth && handed == truth && threaded == truth;
}

// The graphs -------------------------------------------------------------------------------------

cells random_matrix(std::size_t n, double edges_per_vertex) {
    cells matrix(n * n, 0);
    std::mt19937 random(1);
    auto const edges = static_cast<std::size_t>(edges_per_vertex * static_cast<double>(n) / 2);
    for (std::size_t i = 0; i < edges; ++i) {
        auto const a = random() % n, b = random() % n;
        if (a != b) matrix[a * n + b] = matrix[b * n + a] = 1;
    }
    return matrix;
}

std::vector<std::string> five_letter_words() {
    std::vector<std::string> words;
    std::ifstream dictionary("/usr/share/dict/words");
    for (std::string word; dictionary >> word;) {
        bool const plain = word.find_first_not_of("abcdefghijklmnopqrstuvwxyz") == word.npos;
        if (word.size() == 5 && plain) words.push_back(word);
    }
    if (!words.empty()) return words;
    return {"black", "slack", "stack", "stalk", "stale", "shale", "whale", "while", "white",
            "block", "clock", "chock", "check", "cheek", "cheer", "sheer", "bread", "tread",
            "treat", "trest", "toast", "roast", "boast", "ocean", "river", "liver", "lives"};
}

cells ladder_matrix(std::vector<std::string> const& words) {
    auto const n = words.size();
    cells matrix(n * n, 0);
    for (std::size_t a = 0; a < n; ++a) {
        for (std::size_t b = 0; b < a; ++b) {
            int different = 0;
            for (std::size_t i = 0; i < 5; ++i) different += words[a][i] != words[b][i];
            if (different == 1) matrix[a * n + b] = matrix[b * n + a] = 1;
        }
    }
    return matrix;
}

int main(int argc, char** argv) {
    // With a number of vertices it prints what each way costs.
    std::size_t const n = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 300;
    bool const print = argc > 1;

    std::mt19937 random(2);
    auto const some_pairs = [&](std::size_t vertices, std::size_t count) {
        std::vector<pair> pairs;
        for (std::size_t i = 0; i < count; ++i) {
            pairs.emplace_back(random() % vertices, random() % vertices);
        }
        return pairs;
    };
    bool const random_right =
        all_ways("random graph", random_matrix(n, 4), n, some_pairs(n, 40), print);
    std::printf("random graph: all ways %s\n", random_right ? "agree" : "DIFFER");

    auto const words = five_letter_words();
    auto const matrix = ladder_matrix(words);
    auto const index = [&](char const* word) {
        std::uint32_t at = 0;
        while (words[at] != word) ++at;
        return at;
    };
    auto pairs = some_pairs(words.size(), 10);
    pairs.emplace_back(index("black"), index("white"));
    pairs.emplace_back(index("river"), index("ocean"));
    bool const words_right = all_ways("word ladders", matrix, words.size(), pairs, print);
    std::printf("word ladders: all ways %s\n", words_right ? "agree" : "DIFFER");
    std::printf("black to white: %d steps; river to ocean: %s\n",
                distance(matrix, words.size(), pairs[10]),
                distance(matrix, words.size(), pairs[11]) == unreachable ? "never" : "found");
}

// Output:
// random graph: all ways agree
// word ladders: all ways agree
// black to white: 8 steps; river to ocean: never

// SPDX-License-Identifier: BSL-1.0
// One word that says whose something in shared memory is, and whether that process is dead: for
// memory that any process may use, not only workers that somebody watches. A death is never
// reported too early; it may be missed while another process has the same mark.
#pragma once

#include <atomic>
#include <csignal>
#include <cstdlib>

#include <concur/detail/base/linux_ipc.hpp>

namespace concur::inline v0::detail {

// A mark is a pid (22 bits are the most that Linux gives) and, above it, 10 bits made of the time
// when the process started: so a pid that is given again is another mark, in 1022 of 1023 cases.
// All processes must see the same pids: one pid namespace.
inline constexpr unsigned mark_pid_bits = 22;

/// What /proc says of a process.
struct process_facts {
    bool known = false;
    bool over = false;         ///< none of its threads runs any more
    unsigned long long start;  ///< in ticks of the kernel, since boot
};

[[gnu::cold]] inline process_facts facts_of(pid_t pid) noexcept {
    process_stat const stat(pid);
    char const* const threads = stat ? stat.field(20) : nullptr;
    char const* const start = stat ? stat.field(22) : nullptr;
    if (start == nullptr) return {};
    // A main thread that has ended is a zombie too while other threads go on.
    bool const over = stat.is_zombie() && std::strtol(threads, nullptr, 10) <= 1;
    return {true, over, std::strtoull(start, nullptr, 10)};
}

/// 0: the start is not known.
constexpr std::uint32_t mark_tag(process_facts const& facts) noexcept {
    return facts.known ? static_cast<std::uint32_t>(facts.start % 1023 + 1) : 0;
}

[[gnu::cold, gnu::noinline]] inline std::uint32_t make_process_mark() noexcept {
    auto const pid = static_cast<std::uint32_t>(getpid());
    return mark_tag(facts_of(getpid())) << mark_pid_bits | pid;
}

// Protocol [mark] - the mark of this process, and the generation (see [fork]) that it belongs to,
// in one word: whoever finds another generation in it makes the mark anew; all make the same.
CONCUR_API inline std::atomic<std::uint64_t> own_process_mark{0};

/// Of the calling process; never 0. A system call only the first time, and after a fork.
inline std::uint32_t process_mark() noexcept {
    auto const generation = fork_generation();
    auto known = own_process_mark.load(std::memory_order_relaxed);  // [mark] all in one word
    if (known == 0 || known >> 32 != generation) {
        known = std::uint64_t{generation} << 32 | make_process_mark();
        own_process_mark.store(known, std::memory_order_relaxed);  // [mark]
    }
    return static_cast<std::uint32_t>(known);
}

/// True: no thread of that process will ever run again. Some system calls: about 10 us.
[[gnu::cold]] inline bool is_dead(std::uint32_t mark) noexcept {
    if (mark == process_mark()) return false;
    auto const pid = static_cast<pid_t>(mark & ((1u << mark_pid_bits) - 1));
    // Asked first: /proc may be missing, or hide what belongs to others.
    if (::kill(pid, 0) != 0 && errno == ESRCH) return true;
    auto const facts = facts_of(pid);
    auto const tag = mark >> mark_pid_bits;
    return facts.known && (facts.over || (tag != 0 && tag != mark_tag(facts)));
}

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// How the pool learns that a worker process died: from the kernel, in about 60 us, also while
// gigabytes of the worker's memory are still being torn down (a pidfd says it only after that).
#pragma once

#include <linux/futex.h>
#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>  // brings std::min

#include <concur/detail/base/linux_ipc.hpp>

namespace concur::inline v0::detail {

// Protocol [death] - a robust mutex that is never unlocked: the kernel marks it when its holder
// ends, and wakes one of those that wait on its word.
//
//   word                       meaning                        who moves it on
//   0                          no worker holds it (yet)       worker: hold()
//   thread id                  alive, nobody watches          pool: watch() adds FUTEX_WAITERS
//   thread id | WAITERS        alive, the kernel shall wake   kernel: adds FUTEX_OWNER_DIED
//   OWNER_DIED, maybe WAITERS  dead                           pool: reset()
//
// Invariant  a death after hold() is never slept over: watch() tells the value with WAITERS set;
//            if the worker dies before the sleep begins, the word differs and there is no sleep.
//            A word that is 0 cannot be watched: the worker therefore rings the pool after hold(),
//            and until then whoever started it must report its death.
// Order      what the worker wrote is seen after dead(): the kernel's mark is a full barrier; the
//            acquire here is the other half.
// Death      means that the holding thread ended: exit, _exit, a signal, exec. Other threads of a
//            killed worker may still run for some microseconds. A core dump comes before the mark.
// Users      hold(): the worker's main thread; else the pool, under its lock; one thread at a time
//            sleeps on the word, for the kernel wakes only one.

/// In shared memory; reset() before use.
class alignas(cache_line) death_sensor {
public:
    /// Pool: makes it fit for a worker. Nobody holds it, or the holder is dead.
    void reset() {
        pthread_mutexattr_t kind;
        int error = pthread_mutexattr_init(&kind);
        if (error == 0) error = pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
        if (error == 0) error = pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
        std::memset(static_cast<void*>(&mutex_), 0, sizeof mutex_);
        if (error == 0) error = pthread_mutex_init(&mutex_, &kind);
        pthread_mutexattr_destroy(&kind);
        if (error != 0) throw_errno("cannot make a robust mutex", error);
    }

    /// Worker: from now on the end of this thread is seen. Call it once, from the main thread.
    void hold() {
        // Looked at first: to try the mutex of a dead holder would take it over.
        int const error = look() != 0 ? EBUSY : pthread_mutex_trylock(&mutex_);
        if (error != 0) throw_errno("cannot hold the death sensor of this worker", error);
    }

    /// The pid of the worker; 0: none holds it, or that one is dead.
    pid_t holder() const noexcept {
        auto const seen = look();
        return (seen & FUTEX_OWNER_DIED) != 0 ? 0 : static_cast<pid_t>(seen & FUTEX_TID_MASK);
    }
    bool held() const noexcept { return (look() & FUTEX_TID_MASK) != 0; }
    bool dead() const noexcept { return (look() & FUTEX_OWNER_DIED) != 0; }

    /// Makes the kernel wake sleepers at the death. What to sleep on; word null: not held yet, or
    /// dead already.
    futex_watch watch() noexcept {
        auto& lock = word();
        auto seen = look();
        while ((seen & FUTEX_TID_MASK) != 0 && (seen & FUTEX_OWNER_DIED) == 0) {
            auto const wanted = seen | FUTEX_WAITERS;
            if (seen == wanted || lock.compare_exchange_weak(seen, wanted)) return {&lock, wanted};
        }
        return {nullptr, seen};
    }

    std::atomic<std::uint32_t>& word() noexcept {
        return *reinterpret_cast<std::atomic<std::uint32_t>*>(bytes() + word_offset);
    }

private:
    // The kernel gets the place of the word from the C library, by the offset in its robust list.
#if defined(__GLIBC__)
    static constexpr std::size_t word_offset = 0;
#else
    static constexpr std::size_t word_offset = sizeof(int);  // musl
#endif

    unsigned char* bytes() noexcept { return reinterpret_cast<unsigned char*>(&mutex_); }
    std::uint32_t look() const noexcept {
        return const_cast<death_sensor*>(this)->word().load(
            std::memory_order_acquire);  // [death] with the kernel's mark
    }

    pthread_mutex_t mutex_;
};

static_assert(sizeof(pthread_mutex_t) <= cache_line && sizeof(death_sensor) == cache_line);

/// Words of which the first that changes ends a sleep: own doorbell first, then deaths.
class watch_list {
public:
    void clear() noexcept { count_ = 0; }

    /// A word that is null changes nothing. What does not fit in is looked at every few
    /// milliseconds: see wait().
    void add(futex_watch watch) noexcept {
        if (watch.word == nullptr) return;
        if (count_ == max_futex_watches) {
            cut_ = true;
        } else {
            watches_[count_++] = watch;
        }
    }

    /// Sleeps while all words are as they were; may return early. The caller then looks at the
    /// world. On a kernel without futex_waitv (before 5.16), and with more than 128 words, it
    /// returns every poll_interval.
    void wait(time_point deadline = time_point::max()) noexcept {
        auto const polled = cut_ ? std::min(deadline, deadline_after(poll_interval)) : deadline;
        if (!futex_wait_any_shared(watches_, count_, polled)) wait_by_polling(deadline);
    }

    /// What wait() does without futex_waitv: sleeps on the first word only, and not for long.
    void wait_by_polling(time_point deadline = time_point::max()) noexcept {
        for (std::size_t i = 1; i < count_; ++i) {
            auto const& watch = watches_[i];
            if (watch.word->load() != watch.expected) return;
        }
        auto const until = std::min(deadline, deadline_after(poll_interval));
        if (count_ != 0) futex_wait_shared(*watches_[0].word, watches_[0].expected, until);
    }

    static constexpr duration poll_interval = std::chrono::milliseconds(4);

private:
    futex_watch watches_[max_futex_watches];
    std::size_t count_ = 0;
    bool cut_ = false;
};

/// How a process ended.
struct ending {
    bool known = false;  ///< false: it has not ended, or nobody can tell any more
    bool signalled = false;
    int code = -1;  ///< the signal, or the exit code
};

/// From a status as waitpid() gives it.
constexpr ending ending_from_status(int status) noexcept {
    int const signal = status & 0x7f;
    return signal != 0 ? ending{true, true, signal} : ending{true, false, (status >> 8) & 0xff};
}

/// Of a process that nobody has reaped yet, as soon as its death sensor fired: the kernel tells the
/// code long before the parent can wait for it. Needs /proc, and a right to trace the process.
inline ending ending_of(pid_t pid) noexcept {
    process_stat const stat(pid);
    char const* const flags = stat ? stat.field(9) : nullptr;
    char const* const code = stat ? stat.field(52) : nullptr;
    if (code == nullptr) return {};
    constexpr unsigned long exiting = 4;  // PF_EXITING
    if (!stat.is_zombie() && (std::strtoul(flags, nullptr, 10) & exiting) == 0) return {};
    return ending_from_status(static_cast<int>(std::strtol(code, nullptr, 10)));
}

}  // namespace concur::inline v0::detail

// SPDX-License-Identifier: BSL-1.0
// What the conformance tests share: events instead of sleeps, a counting type, captured errors.
#pragma once

#include <concur/future.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <filesystem>
#include <latch>
#include <mutex>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace conformance {

using namespace std::chrono_literals;

/// A door that opens once. Everyone who waits, now or later, passes when it is open.
class gate {
public:
    void open() {
        // Notifying under the lock: a waiter may destroy the gate as soon as it has passed.
        const std::lock_guard lock(mutex_);
        open_ = true;
        opened_.notify_all();
    }
    void wait() const {
        std::unique_lock lock(mutex_);
        opened_.wait(lock, [this] { return open_; });
    }
    bool is_open() const {
        const std::lock_guard lock(mutex_);
        return open_;
    }

private:
    mutable std::mutex mutex_;
    mutable std::condition_variable opened_;
    bool open_ = false;
};

/// Opens a gate at the end of the scope, so that a failed REQUIRE does not leave tasks waiting.
class opens_at_exit {
public:
    explicit opens_at_exit(gate& door) : door_(door) {}
    ~opens_at_exit() { door_.open(); }
    opens_at_exit(const opens_at_exit&) = delete;
    opens_at_exit& operator=(const opens_at_exit&) = delete;

private:
    gate& door_;
};

/// Keeps every worker of an asynchronous executor busy until release(): what is submitted
/// meanwhile stays pending.
template <class Executor>
class blocker {
public:
    explicit blocker(Executor& executor)
        : started_(static_cast<std::ptrdiff_t>(executor.worker_count())) {
        const auto workers = executor.worker_count();
        for (std::size_t i = 0; i != workers; ++i)
            tasks_.push_back(executor.submit([this] {
                started_.count_down();
                door_.wait();
            }));
        started_.wait();
    }
    ~blocker() { release(); }
    blocker(const blocker&) = delete;
    blocker& operator=(const blocker&) = delete;

    void release() {
        door_.open();
        for (auto& task : tasks_) task.wait();
    }

private:
    std::latch started_;
    gate door_;
    std::vector<concur::future<void>> tasks_;
};

/// Polls until `condition()` holds; the watchdog of the test is the time limit.
template <class Condition>
void eventually(Condition condition) {
    while (!condition()) std::this_thread::yield();
}

/// Polls until then or until `limit` has passed; tells which.
template <class Condition>
bool holds_within(std::chrono::milliseconds limit, Condition condition) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::yield();
    }
    return true;
}

/// The ids of the threads of this process.
inline std::set<std::string> live_threads() {
    std::set<std::string> ids;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task"))
        ids.insert(entry.path().filename());
    return ids;
}
/// How many threads there are besides those of `before`. One that was joined may stand in /proc for
/// a moment yet, so a difference of numbers would not tell.
inline std::size_t threads_besides(const std::set<std::string>& before) {
    std::size_t count = 0;
    for (const auto& id : live_threads()) count += !before.contains(id);
    return count;
}
inline bool none_but(const std::set<std::string>& before) { return threads_besides(before) == 0; }

/// What happened to the probes that share it.
struct tally {
    std::atomic<int> copies = 0;
    std::atomic<int> moves = 0;
    std::atomic<int> alive = 0;
};

/// A value that counts its copies, moves and living instances.
class probe {
public:
    explicit probe(tally& counts, int value = 0) : counts_(&counts), value_(value) {
        ++counts_->alive;
    }
    probe(const probe& other) : counts_(other.counts_), value_(other.value_) {
        ++counts_->copies;
        ++counts_->alive;
    }
    probe(probe&& other) noexcept : counts_(other.counts_), value_(other.value_) {
        other.value_ = -1;
        ++counts_->moves;
        ++counts_->alive;
    }
    probe& operator=(const probe&) = delete;
    probe& operator=(probe&& other) noexcept {
        if (this == &other) return *this;
        --counts_->alive;  // the tallies may differ
        counts_ = other.counts_;
        value_ = std::exchange(other.value_, -1);
        ++counts_->moves;
        ++counts_->alive;
        return *this;
    }
    ~probe() { --counts_->alive; }

    int value() const { return value_; }

private:
    tally* counts_;
    int value_;
};

/// Counts how many are inside at once, and the most there ever were.
class crowd {
public:
    void enter() {
        const int now = ++inside_;
        int peak = peak_.load();
        while (peak < now && !peak_.compare_exchange_weak(peak, now)) {
        }
    }
    void leave() { --inside_; }
    int inside() const { return inside_; }
    int peak() const { return peak_; }

private:
    std::atomic<int> inside_ = 0;
    std::atomic<int> peak_ = 0;
};

/// An exception of the user's own, with a number to recognise it by.
struct custom_error : std::runtime_error {
    explicit custom_error(int number_)
        : std::runtime_error("custom " + std::to_string(number_)), number(number_) {}
    int number;
};

/// The text of what `f()` throws as an `Error`; "" when it throws nothing of the kind.
template <class Error, class F>
std::string text_thrown(F&& f) {
    try {
        f();
    } catch (const Error& error) {
        return error.what();
    } catch (...) {
        return "";
    }
    return "";
}

/// The text of an exception_ptr to a std::exception; "" for a null one.
inline std::string text_of(const std::exception_ptr& error) {
    if (error == nullptr) return "";
    return text_thrown<std::exception>([&] { std::rethrow_exception(error); });
}

/// Is `error` an `Error`?
template <class Error>
bool holds(const std::exception_ptr& error) {
    if (error == nullptr) return false;
    try {
        std::rethrow_exception(error);
    } catch (const Error&) {
        return true;
    } catch (...) {
        return false;
    }
}

/// What a range delivered before it ended or threw.
template <class T>
struct drained {
    std::vector<T> values;
    std::exception_ptr error;
    bool at_end = false;
};

/// Reads a range of `T` to its end or to the first exception.
template <class T, class Range>
drained<T> drain(Range&& range) {
    drained<T> result;
    try {
        for (auto&& value : range) result.values.push_back(static_cast<T>(value));
    } catch (...) {
        result.error = std::current_exception();
    }
    try {
        result.at_end = range.begin() == range.end();
    } catch (...) {
        result.at_end = false;
    }
    return result;
}

/// 0, 1, … n-1
inline std::vector<int> numbers(int n) {
    std::vector<int> result(static_cast<std::size_t>(n));
    std::iota(result.begin(), result.end(), 0);
    return result;
}

/// Reports of an on_error handler.
class error_log {
public:
    void operator()(const std::exception_ptr& error) {
        const std::lock_guard lock(mutex_);
        texts_.push_back(text_of(error));
    }
    std::vector<std::string> texts() const {
        const std::lock_guard lock(mutex_);
        return texts_;
    }

private:
    mutable std::mutex mutex_;
    std::vector<std::string> texts_;
};

/// A list that tasks and callbacks append to, in the order in which they run.
class journal {
public:
    void note(int entry) {
        const std::lock_guard lock(mutex_);
        entries_.push_back(entry);
    }
    std::vector<int> entries() const {
        const std::lock_guard lock(mutex_);
        return entries_;
    }

private:
    mutable std::mutex mutex_;
    std::vector<int> entries_;
};

}  // namespace conformance

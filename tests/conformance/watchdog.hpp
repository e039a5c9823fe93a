// SPDX-License-Identifier: BSL-1.0
// Ends the test process, saying which test hung where, instead of letting it hang.
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

namespace conformance {

/// Aborts the process when it is still alive after `limit`.
class watchdog {
public:
    explicit watchdog(std::string waits_for = "the end of the test",
                      std::chrono::seconds limit = std::chrono::seconds(60))
        : limit_(limit),
          waits_for_(std::move(waits_for)),
          test_(current_test()),
          thread_([this] { run(); }) {}
    ~watchdog() {
        {
            const std::lock_guard lock(mutex_);
            over_ = true;
        }
        changed_.notify_all();
        thread_.join();
    }
    watchdog(const watchdog&) = delete;
    watchdog& operator=(const watchdog&) = delete;

private:
    static std::string current_test() {
        const auto* options = doctest::getContextOptions();
        if (options == nullptr || options->currentTest == nullptr) return "outside of any test";
        return options->currentTest->m_name;
    }

    void run() {
        std::unique_lock lock(mutex_);
        if (changed_.wait_for(lock, limit_, [this] { return over_; })) return;
        std::fprintf(stderr, "\nwatchdog: \"%s\" still waits for %s after %lld s\n", test_.c_str(),
                     waits_for_.c_str(), static_cast<long long>(limit_.count()));
        std::fflush(stderr);
        std::abort();
    }

    std::chrono::seconds limit_;
    std::string waits_for_;
    std::string test_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool over_ = false;
    std::thread thread_;  // last: it uses all of the above
};

}  // namespace conformance

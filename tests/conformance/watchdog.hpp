// SPDX-License-Identifier: BSL-1.0
// Ends the test process, saying which test hung where, instead of letting it hang.
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

namespace conformance {

/// Aborts the process when it is still alive after `limit`.
class watchdog {
public:
    /// `report` says more about what hangs, an event_loop's dump_tasks() for instance.
    explicit watchdog(std::string waits_for = "the end of the test",
                      std::chrono::seconds limit = std::chrono::seconds(60),
                      std::function<std::string()> report = {})
        : limit_(limit),
          waits_for_(std::move(waits_for)),
          report_(std::move(report)),
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
        if (report_) std::fprintf(stderr, "%s", report_().c_str());
        std::fflush(stderr);
        std::abort();
    }

    std::chrono::seconds limit_;
    std::string waits_for_;
    std::function<std::string()> report_;
    std::string test_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool over_ = false;
    std::thread thread_;  // last: it uses all of the above
};

}  // namespace conformance

// SPDX-License-Identifier: BSL-1.0
// The exceptions that concur throws of its own.
#include <concur/error.hpp>

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>
#include <type_traits>

TEST_CASE_TEMPLATE("error: every one is a concur::error with a text", Error,
                   concur::executor_shut_down, concur::broken_executor, concur::task_cancelled,
                   concur::timeout_error, concur::would_deadlock, concur::queue_closed,
                   concur::codec_error, concur::worker_lost, concur::host_lost) {
    static_assert(std::is_base_of_v<concur::error, Error>);
    static_assert(std::is_base_of_v<std::runtime_error, Error>);
    static_assert(std::is_copy_constructible_v<Error>);
    static_assert(!std::is_final_v<Error>);
    if constexpr (std::is_constructible_v<Error, std::string>) {
        try {
            throw Error(std::string("what happened"));
        } catch (const concur::error& error) {
            CHECK(std::string(error.what()) == "what happened");
        }
    }
    if constexpr (std::is_default_constructible_v<Error>) {
        CHECK(std::string(Error().what()) != "");
    }
}

TEST_CASE("error: worker_lost tells pid, signal and exit code") {
    const concur::worker_lost by_signal("killed", 123, 9, -1);
    CHECK(by_signal.pid() == 123);
    CHECK(by_signal.signal() == 9);
    CHECK(by_signal.exit_code() == -1);
    CHECK(std::string(by_signal.what()) == "killed");
    const concur::worker_lost by_exit("exited", 124, 0, 42);
    CHECK(by_exit.signal() == 0);
    CHECK(by_exit.exit_code() == 42);
}

TEST_CASE("error: the family is caught by its root, and by nothing beside it") {
    bool caught = false;
    try {
        throw concur::timeout_error("late");
    } catch (const concur::task_cancelled&) {
        FAIL("a time limit is no cancel");
    } catch (const concur::error&) {
        caught = true;
    }
    CHECK(caught);
}

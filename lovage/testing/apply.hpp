#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <lovage/app/app.hpp>
#include <lovage/core/convert.hpp>
#include <lovage/core/json.hpp>

namespace lovage::testing {

/// The call that a task run by apply() believes to answer.
struct ApplyOptions {
    std::string task_id = "00000000-0000-4000-8000-000000000000";
    std::int64_t retries = 0;  ///< As if it had been tried that often before.
    std::string queue = "celery";
    Json headers = Json::object();
    /// Run again at once when the task asks for a retry; false: stop after the first attempt, in
    /// state RETRY.
    bool follow_retries = true;
};

/// A state that a task reported with TaskContext::update_state().
struct ReportedState {
    std::string state;
    Json meta;
};

/// An event that a task sent with TaskContext::send_event().
struct SentEvent {
    std::string type;
    Json fields;  ///< Those that the task gave.
};

/// What came of a task run by apply().
struct Applied {
    /// "SUCCESS", "FAILURE", "RETRY", "REVOKED"; "IGNORED", "REJECTED" when the task asked for
    /// that.
    std::string state;
    Json result;                         ///< The value, when it succeeded.
    std::optional<TaskFailure> failure;  ///< Of FAILURE; what for, of RETRY.
    std::int64_t retries = 0;            ///< Of the last attempt.
    /// The wait before each retry the task asked for (not waited for here).
    std::vector<std::chrono::milliseconds> waits;
    std::vector<ReportedState> reports;
    std::vector<SentEvent> events;

    /// The value as a T. Throws LovageError: task_failed when the task did not succeed, malformed
    /// when the value is no T.
    template <class T>
    [[nodiscard]] T get() const {
        auto converted = from_json<T>(required(), ConversionMode::strict);
        if (!converted) {
            throw LovageError{
                Error{Errc::malformed, "the result is no " + JsonConverter<T>::type_name() + ": " +
                                           describe_issue(converted.error().front())}};
        }
        return std::move(*converted);
    }

private:
    [[nodiscard]] const Json& required() const;
};

/// Runs a task of `app` here and now, on this thread, without broker, worker or result backend:
/// Celery's `Task.apply()`. Arguments go through JSON, as in a worker, and hooks are called.
/// Throws LovageError: not_registered, invalid_argument (bad args or kwargs).
[[nodiscard]] Applied apply(App& app, const std::string& task, Json args = Json::array(),
                            Json kwargs = Json::object(), ApplyOptions options = {});

}  // namespace lovage::testing

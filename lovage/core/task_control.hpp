#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include <lovage/core/error.hpp>
#include <lovage/core/json.hpp>
#include <lovage/core/signature.hpp>
#include <lovage/core/task_error.hpp>
#include <lovage/core/time.hpp>

/// What a task throws to end in another way than by success or failure. Except where said, none is
/// a std::exception, so that a task's own `catch (const std::exception&)` does not swallow it.
namespace lovage {

/// The task is done and no result shall be stored: Celery's `Ignore`. Its state stays what it was,
/// for instance one set with TaskContext::update_state().
struct Ignore {};

/// The task refuses its message: Celery's `Reject`.
///
/// With `requeue` the message goes back to its queue, at once the first time, after a second when
/// it has come back before. Without, it never runs again: under `delivery=celery` it is rejected
/// (dead-lettered where the queue has that), else kept in "<queue>.quarantine" and the task ends as
/// FAILURE with the reason.
struct Reject {
    std::string reason;
    bool requeue = false;
};

/// Why an attempt is asked to stop before it is done.
enum class StopReason : std::uint8_t {
    none,
    soft_time_limit,  ///< It ran for its soft time limit; it may still end well.
    terminated,  ///< Somebody revoked it with `terminate`: it ends as REVOKED, whatever it does.
    shutdown,    ///< The worker is in a hurry: the message goes back to its queue.
};

/// Thrown by TaskContext::checkpoint() in a task that was terminated or whose worker shuts down.
struct TaskStopped {
    StopReason reason = StopReason::none;
};

/// Thrown once, by the first TaskContext::checkpoint() after the soft time limit. A task may catch
/// it to clean up, and may even return a result. A std::exception, as in Celery.
class SoftTimeLimitExceeded : public TaskError {
public:
    SoftTimeLimitExceeded() : TaskError{"SoftTimeLimitExceeded", "", "billiard.exceptions"} {}
};

/// Thrown by TaskContext::retry() when all retries are used and no cause is known.
class MaxRetriesExceededError : public TaskError {
public:
    explicit MaxRetriesExceededError(const std::string& message)
        : TaskError{"MaxRetriesExceededError", message, "celery.exceptions"} {}
};

/// Thrown by TaskContext::replace(), which has checked it; not made by programs.
struct Replace {
    Signature signature;
};

/// How TaskContext::retry() is told when, how often and with what to run again. What is left out
/// comes from the task's options.
struct RetryOptions {
    /// Run no earlier than that long from now; zero: at once. Not together with `eta`.
    std::optional<std::chrono::milliseconds> countdown = std::nullopt;
    std::optional<TimePoint> eta = std::nullopt;
    /// Replaces the task's own for this time.
    std::optional<std::int64_t> max_retries = std::nullopt;
    std::optional<Json> args = std::nullopt;    ///< Other positional arguments: a list.
    std::optional<Json> kwargs = std::nullopt;  ///< Other keyword arguments: a map.
    /// What the retry is for: the result of state RETRY, and thrown when retries are used up.
    /// Absent: the exception being handled, if any.
    std::exception_ptr cause = nullptr;
};

/// Thrown by TaskContext::retry(), which has settled everything; not made by programs.
struct Retry {
    std::optional<std::chrono::milliseconds> countdown;
    std::optional<TimePoint> eta;
    std::optional<Json> args;
    std::optional<Json> kwargs;
    std::exception_ptr cause;
};

}  // namespace lovage

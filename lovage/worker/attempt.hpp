#pragma once

#include <exception>
#include <utility>

#include <lovage/worker/journal/in_flight_file.hpp>
#include <lovage/worker/task_run.hpp>

namespace lovage {

/// One run of a task's function with the program's hooks around it, from whether it may start to
/// what came of it: the one place where whatever a task returns or throws becomes a TaskOutcome.
/// Used by one thread at a time.
class Attempt {
public:
    /// Lifetime: `request` must outlive the attempt.
    explicit Attempt(const TaskRequest& request) : request_{request} {}

    /// False: the task was revoked or has expired, and must not run.
    [[nodiscard]] bool begin();
    void returned(Json value) { outcome_.value = std::move(value); }
    void threw(const std::exception_ptr& error);
    /// The outcome. The attempt is over; only after begin() returned true.
    [[nodiscard]] TaskOutcome end();
    /// The outcome after begin() returned false.
    [[nodiscard]] TaskOutcome not_begun() { return std::move(outcome_); }

private:
    /// A failure, or the retry that the task's policy makes of it.
    void failed(const std::exception_ptr& error);
    /// A wait of a coroutine was cancelled because of a stop: true when that ends the attempt.
    bool stopped_while_waiting();
    void tell_hooks(const TaskHooks& hooks) const;

    const TaskRequest& request_;
    TaskOutcome outcome_;
    journal::InFlightMark mark_;  // until its hooks are done
};

}  // namespace lovage

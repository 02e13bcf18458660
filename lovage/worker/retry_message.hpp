#pragma once

#include <string>

#include <lovage/app/client.hpp>
#include <lovage/worker/task_run.hpp>

namespace lovage {

/// The call that runs a task again (celery-wire reference, section 10.4): the same id, one retry
/// more, everything else kept except what `plan` says.
[[nodiscard]] TaskMessage make_retry(const TaskMessage& message, const RetryPlan& plan,
                                     const TaskOptions& options);

/// The same, ready to be sent to the queue the task came from.
///
/// Celery differs: a message that came through an exchange goes back through it, to all queues
/// bound to it there; here it goes to its own queue only.
[[nodiscard]] TaskSend make_retry_send(const TaskRequest& request, const RetryPlan& plan);

/// The failure of a task whose retry can never be sent.
[[nodiscard]] TaskOutcome retry_impossible(TaskOutcome outcome, const Error& problem);

}  // namespace lovage

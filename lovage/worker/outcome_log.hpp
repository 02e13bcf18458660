#pragma once

#include <lovage/worker/task_run.hpp>

namespace lovage {

/// Logs how an attempt ended, in the words Celery's worker uses.
void log_outcome(const TaskRequest& request, const TaskOutcome& outcome);

}  // namespace lovage

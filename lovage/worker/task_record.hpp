#pragma once

#include <string>

#include <lovage/core/task_meta.hpp>
#include <lovage/worker/task_run.hpp>

namespace lovage {

/// Whether a record is stored for such an ending, as long as results are wanted.
[[nodiscard]] bool has_record(const TaskOutcome& outcome, const AckRules& rules) noexcept;
/// The record to store for an ended attempt that has one. `extended` adds Celery's result_extended
/// fields.
[[nodiscard]] TaskMeta make_meta(const TaskRequest& request, const TaskOutcome& outcome,
                                 bool extended);
/// The record of a state in between: STARTED, or one of the task's own.
[[nodiscard]] TaskMeta make_state_meta(const TaskRequest& request, std::string state, Json result,
                                       bool extended);
/// A FAILURE record for an id whose message could not be run at all.
[[nodiscard]] TaskMeta make_failure_meta(const std::string& task_id, const TaskFailure& failure);

}  // namespace lovage

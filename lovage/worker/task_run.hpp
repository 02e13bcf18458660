#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <lovage/brokers/broker.hpp>
#include <lovage/core/task_context.hpp>
#include <lovage/core/task_definition.hpp>
#include <lovage/core/task_message.hpp>
#include <lovage/core/task_meta.hpp>

namespace lovage {

/// One delivered task on its way through the worker.
struct TaskRequest {
    TaskMessage message;
    const TaskDefinition* definition = nullptr;
    DeliveryTag tag;
    std::string queue;
    std::shared_ptr<TaskContext> context;
    std::chrono::steady_clock::time_point received;  ///< by the worker; at its ETA when it was held
};

/// How one attempt ended.
struct TaskOutcome {
    std::optional<TaskFailure> failure;  ///< Absent: success.
    Json value;                          ///< The return value; meaningless on failure.
    std::chrono::steady_clock::time_point started;
    std::chrono::steady_clock::time_point ended;
};

/// Runs the task's function on the calling thread with the request's context current. Whatever it
/// throws becomes the failure: this never throws.
[[nodiscard]] TaskOutcome run_task(const TaskRequest& request) noexcept;

/// The record to store for an ended attempt. `extended` adds Celery's result_extended fields.
[[nodiscard]] TaskMeta make_meta(const TaskRequest& request, const TaskOutcome& outcome,
                                 bool extended);
/// The record of a task that ended without running: REVOKED with reason "revoked" or "expired".
[[nodiscard]] TaskMeta make_revoked_meta(const TaskMessage& message, const std::string& reason);
/// A FAILURE record for an id whose message could not be run at all.
[[nodiscard]] TaskMeta make_failure_meta(const std::string& task_id, const TaskFailure& failure);

}  // namespace lovage

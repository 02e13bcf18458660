#pragma once

#include <memory>

#include <lovage/awaitable.hpp>
#include <lovage/worker/task_run.hpp>

namespace lovage {

/// run_task() for a task that is a coroutine: awaited on the executor it shall run on. Never
/// throws; a cancellation ends the task's waits with operation_aborted.
[[nodiscard]] Awaitable<TaskOutcome> run_task_coroutine(std::shared_ptr<const TaskRequest> request);

/// The same to its end on the calling thread, with a loop of its own: for pools whose slots are
/// threads or processes. A stop cancels what the task waits for.
[[nodiscard]] TaskOutcome run_coroutine_here(const TaskRequest& request);

}  // namespace lovage

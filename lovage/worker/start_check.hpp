#pragma once

#include <lovage/core/error.hpp>
#include <lovage/core/task_definition.hpp>
#include <lovage/runtime/settings.hpp>
#include <lovage/worker/pool.hpp>

namespace lovage {

/// What a worker of these settings could not keep, found before it takes the first message: early
/// acknowledging outside `delivery=celery`, hard time limits in a pool that cannot kill, soft
/// limits beyond hard ones, more slots than the pool can have. Errors: invalid_argument, naming the
/// setting or the task.
[[nodiscard]] Result<void> check_start(const Settings& settings, const TaskRegistry& tasks,
                                       const Pool& pool);

}  // namespace lovage

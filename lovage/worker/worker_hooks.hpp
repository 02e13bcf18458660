#pragma once

#include <string>
#include <vector>

#include <lovage/awaitable.hpp>
#include <lovage/core/task_hooks.hpp>

namespace lovage {

/// Calls hooks in order on a thread of their own and comes back when all have returned; what one
/// throws is logged.
[[nodiscard]] Awaitable<void> call_worker_hooks(std::vector<WorkerHooks::Hook> hooks,
                                                std::string hostname);

}  // namespace lovage

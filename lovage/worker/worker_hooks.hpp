#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <lovage/awaitable.hpp>
#include <lovage/core/task_hooks.hpp>
#include <lovage/runtime/deadline.hpp>

namespace lovage {

/// Calls hooks in order on a thread of their own; what one throws is logged. Belongs to the loop.
///
/// A hook that does not return cannot be ended, only left behind: it goes with the process.
class WorkerHookCalls {
public:
    /// Begins at once.
    WorkerHookCalls(Executor loop, std::vector<WorkerHooks::Hook> hooks, std::string hostname);
    ~WorkerHookCalls();
    WorkerHookCalls(const WorkerHookCalls&) = delete;
    WorkerHookCalls& operator=(const WorkerHookCalls&) = delete;

    /// Waits until all have returned; false when the deadline passed first.
    [[nodiscard]] Awaitable<bool> ended(Deadline deadline);

private:
    struct Shared;
    std::shared_ptr<Shared> shared_;
    std::thread thread_;
};

}  // namespace lovage

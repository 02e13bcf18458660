#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <lovage/core/error.hpp>
#include <lovage/core/task_context.hpp>

namespace lovage {

/// How an attempt ended, as hooks are told. Valid during the call.
struct TaskEnd {
    /// A state ("SUCCESS", "FAILURE", "RETRY", "REVOKED"), or "IGNORED", "REJECTED", "REPLACED"
    /// when the task asked for that.
    std::string_view state;
    const TaskFailure* failure = nullptr;  ///< Of FAILURE, and of RETRY when it has a cause.
    std::chrono::steady_clock::duration runtime{0};
};

/// A program's own code around every attempt: Celery's signals task_prerun, task_postrun,
/// task_failure and task_retry. Called where the task runs, one after the other, with its context
/// current; whatever a hook throws is logged and changes nothing. An attempt whose process is
/// killed (hard time limit, crash) ends without. Fill them before a worker starts.
struct TaskHooks {
    using Before = std::function<void(TaskContext&)>;
    using After = std::function<void(TaskContext&, const TaskEnd&)>;

    std::vector<Before> before_task;
    std::vector<After> on_failure;
    std::vector<After> on_retry;
    std::vector<After> after_task;  ///< After the other two, however the attempt ended.
};

/// A program's own code at the start and end of a worker: Celery's signals worker_ready and
/// worker_shutdown. Called with the node name, on a thread of its own.
struct WorkerHooks {
    using Hook = std::function<void(const std::string& hostname)>;
    std::vector<Hook> ready;
    std::vector<Hook> shutdown;
    /// Of each slot process (pool prefork), on the thread that runs its tasks: Celery's signals
    /// worker_process_init and worker_process_shutdown. A slot whose start throws does not serve.
    std::vector<std::function<void()>> slot_start;
    std::vector<std::function<void()>> slot_stop;
};

}  // namespace lovage

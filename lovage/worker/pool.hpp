#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <lovage/awaitable.hpp>
#include <lovage/runtime/deadline.hpp>
#include <lovage/worker/task_run.hpp>

namespace lovage {

/// A task request with how its attempt ended.
struct FinishedTask {
    std::shared_ptr<TaskRequest> request;
    TaskOutcome outcome;
};

/// A task that a slot runs at this moment.
struct RunningTask {
    std::shared_ptr<TaskRequest> request;
    std::chrono::steady_clock::time_point started;
    std::int64_t process = 0;  ///< The id of the process it runs in.
};

/// A process that runs tasks.
struct PoolProcess {
    std::int64_t id = 0;
    std::uint64_t tasks = 0;  ///< That it has begun.
};

/// What runs task functions. Used by the worker's loop; tasks run elsewhere.
class Pool {
public:
    /// Called on the worker's loop.
    struct Events {
        /// A request with `report_start` begins to run. Comes before its end.
        std::function<void(const std::shared_ptr<TaskRequest>&)> started;
        std::function<void(std::vector<FinishedTask>)> finished;
        /// The pool can never run anything, for the reason given: the worker shall end.
        std::function<void(Error)> broken;
    };

    virtual ~Pool() = default;

    virtual void start(Events events) = 0;
    /// Queues requests; they start in order as slots become free.
    virtual void submit(std::vector<std::shared_ptr<TaskRequest>> requests) = 0;
    /// Takes back what has not started; it never will.
    [[nodiscard]] virtual std::vector<std::shared_ptr<TaskRequest>> take_unstarted() = 0;
    /// A request that was submitted and has not started must not: it ends as revoked.
    virtual void forbid_start(const std::shared_ptr<TaskRequest>& request) {
        request->context->forbid_start();
    }
    /// Asks an attempt that was submitted to stop: its task sees it in its TaskContext. One that
    /// has not started and was terminated never will: it ends as revoked.
    virtual void request_stop(const std::shared_ptr<TaskRequest>& request, StopReason reason) {
        request->context->request_stop(reason);
    }
    /// Ends an attempt whose task was revoked with `terminate`. Where a slot is a process it is
    /// sent `signal`; elsewhere there is nobody to send it to, and the task is asked to stop.
    virtual void terminate(const std::shared_ptr<TaskRequest>& request, int /*signal*/) {
        request_stop(request, StopReason::terminated);
    }
    /// Whether TaskRequest::time_limit is kept, by killing what runs the task.
    [[nodiscard]] virtual bool keeps_hard_limits() const noexcept { return false; }
    /// Whether resize() works.
    [[nodiscard]] virtual bool resizable() const noexcept { return false; }
    /// Of a pool whose slots are threads or processes.
    static constexpr std::size_t kSlotsMost = 1024;
    /// How many slots it can have; a pool that is asked for more has so many.
    [[nodiscard]] virtual std::size_t slots_most() const noexcept { return kSlotsMost; }
    /// From now on so many slots, at least 1. More come at once; of too many those that run nothing
    /// go at once, the others after their task. Errors: invalid_argument (this pool cannot).
    virtual Result<void> resize(std::size_t /*slots*/) { return cannot("grow or shrink"); }
    /// Replaces every slot, those that run a task after it. Errors: invalid_argument (this pool
    /// cannot).
    virtual Result<void> restart() { return cannot("be restarted"); }
    /// Lets slots that run nothing end themselves; returns when all have, or at the deadline. Only
    /// stop() and join() may follow.
    [[nodiscard]] virtual Awaitable<void> retire(Deadline /*deadline*/) { co_return; }
    /// Ends the slots. Returns how many still run a task: those cannot be ended, only left behind
    /// at the exit of the process.
    virtual std::size_t stop() = 0;
    /// After stop(): waits until what it ended is gone. Soon.
    [[nodiscard]] virtual Awaitable<void> join() { co_return; }

    /// How many there shall be; while some come or go there may be others.
    [[nodiscard]] virtual std::size_t slots() const noexcept = 0;
    [[nodiscard]] virtual std::size_t busy() const noexcept = 0;
    [[nodiscard]] virtual std::string_view name() const noexcept = 0;

    /// False: no slot is there, and every attempt to start one failed of late.
    [[nodiscard]] virtual bool can_run() const noexcept { return true; }

    /// The tasks that run now, in no order.
    [[nodiscard]] virtual std::vector<RunningTask> running() const = 0;
    /// The processes that serve; empty where tasks run in the worker's own.
    [[nodiscard]] virtual std::vector<PoolProcess> processes() const { return {}; }

private:
    [[nodiscard]] std::unexpected<Error> cannot(std::string_view what) const {
        return fail(Errc::invalid_argument,
                    "the pool '" + std::string{name()} + "' cannot " + std::string{what});
    }
};

}  // namespace lovage

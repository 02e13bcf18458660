#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <lovage/app/app_core.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/runtime/task_scope.hpp>
#include <lovage/worker/crash_count.hpp>
#include <lovage/worker/durable_writer.hpp>
#include <lovage/worker/pool.hpp>
#include <lovage/worker/quarantine.hpp>
#include <lovage/worker/state_reports.hpp>
#include <lovage/worker/task_metrics.hpp>
#include <lovage/worker/workflow.hpp>

namespace lovage {

/// Brings deliveries to their end: result stored, retry sent or message kept in quarantine; then
/// acknowledged, or given back. Nothing is acknowledged before what must be kept is durable; while
/// a store is down the work stays here (bounded by the prefetch) and is tried again.
///
/// Belongs to the worker's loop; not thread-safe.
class Settler {
public:
    struct Hooks {
        /// The consumer that acks go to; nullptr while there is none (acks are then pointless:
        /// redelivery follows).
        std::function<Consumer*()> consumer;
        /// False: the consumer that delivered it is gone, so that the broker delivers it again.
        std::function<bool(DeliveryTag)> held;
        /// A delivery has come to its end. Without an outcome its message comes again; both are
        /// nullptr when it never became a task. `settle_time`: from the end of the task to the ack
        /// being carried out.
        std::function<void(const std::shared_ptr<TaskRequest>&, const TaskOutcome*,
                           std::chrono::steady_clock::duration settle_time)>
            settled;
        /// RETRY is stored, and the message of the next attempt about to be sent.
        std::function<void(const TaskRequest&, const TaskOutcome&)> retried = [](const auto&...) {};
    };

    Settler(AppCore& core, TaskMetrics& metrics, std::string hostname, Hooks hooks);
    ~Settler();

    /// Where running tasks report their states.
    [[nodiscard]] const std::shared_ptr<StateReports>& reports() const noexcept { return reports_; }

    /// Stores STARTED (`task_track_started`) and acknowledges what is not acknowledged late.
    void task_started(const std::shared_ptr<TaskRequest>& request);
    /// Attempts that ended, in whatever way.
    void tasks_finished(std::vector<FinishedTask> finished);
    /// Ends a task as REVOKED without running it; `reason` is "revoked" or "expired".
    void revoke(std::shared_ptr<TaskRequest> request, std::string reason);
    /// Ends a task without running it, since the unique task `first` is there: REVOKED, too, and
    /// the result says so.
    void end_duplicate(std::shared_ptr<TaskRequest> request, const std::string& first);
    /// Ends a task that has succeeded before, when its message comes again: without running it, in
    /// the workflow by that record.
    void end_done(std::shared_ptr<TaskRequest> request, TaskMeta record);
    /// Keeps the message of a task that has crashed too often to be run again.
    void refuse_crashing(std::shared_ptr<TaskRequest> request, std::size_t crashes);
    /// Keeps a message that cannot become a task. When its id is known, `failure` becomes its
    /// result; when its workflow is, it ends there.
    void quarantine(Delivery delivery, std::string reason, std::string detail,
                    std::optional<std::string> task_id, std::string task, TaskFailure failure,
                    std::optional<WorkflowStep> step = std::nullopt);

    /// For who ends chords on behalf of their parts. Lives as long as this.
    [[nodiscard]] Workflow& workflow() noexcept { return workflow_; }
    /// Deliveries whose end is not durable yet.
    [[nodiscard]] std::size_t pending() const noexcept { return pending_; }
    /// Waits for the coroutines behind it, after give_up(); false when the deadline passed first.
    [[nodiscard]] Awaitable<bool> join(Deadline deadline) { return scope_.join(deadline); }
    /// Stops trying again: what is not durable yet stays unacknowledged.
    void give_up() noexcept;

private:
    [[nodiscard]] bool wants_record(const FinishedTask& finished) const;
    /// True for as long as the delivery is this worker's. After that its message is delivered
    /// again, so that whatever is still written for this attempt is one thing too many.
    [[nodiscard]] DurableWriter::Wanted while_held(DeliveryTag tag) const;
    /// The same for an attempt; one that was acknowledged at its start is this worker's for good.
    [[nodiscard]] DurableWriter::Wanted while_held(const FinishedTask& finished) const;
    /// What was to be written was not: nothing more is done, unless the worker gives up anyway.
    void abandon(const FinishedTask& finished);
    void abandon(DeliveryTag tag, const std::shared_ptr<TaskRequest>& request = nullptr);
    /// One call of the result backend at a time: what ends meanwhile goes together in the next.
    Awaitable<void> settle_unstored();
    /// The usual case: all records in one call. Those that cannot be stored at once go on one by
    /// one.
    Awaitable<void> settle_together(std::vector<FinishedTask> finished);
    [[nodiscard]] std::vector<TaskMeta> records_of(const std::vector<FinishedTask>& finished) const;
    /// Makes durable what an attempt came to: its record, if it shall have one, and what follows it
    /// in its workflow; false: abandon it. `finished` must outlive the call, and may end otherwise
    /// than it did: as a failure, when what follows it cannot be sent.
    Awaitable<bool> store_record(FinishedTask* finished);
    Awaitable<bool> store_step(FinishedTask* finished);
    /// Sends what comes after a success; returns what the record lists as children on top.
    Awaitable<Result<Json::Array>> follow(const FinishedTask* finished, WorkflowStep step,
                                          DurableWriter::Wanted held);
    Awaitable<void> settle_replaced(FinishedTask finished);
    Awaitable<void> settle_alone(FinishedTask finished);
    Awaitable<void> settle_retry(FinishedTask finished);
    /// Its task took the slot along: to be run again, or kept when that has happened too often.
    Awaitable<void> settle_lost(FinishedTask finished);
    Awaitable<void> keep_crashing(FinishedTask finished, std::size_t crashes);
    Awaitable<void> forget_crashes(std::string task_id, DeliveryTag tag);
    Awaitable<void> settle_done(std::shared_ptr<TaskRequest> request, TaskMeta record);
    /// What the task reported last is its state for good, so it must be durable.
    Awaitable<void> settle_ignored(FinishedTask finished, StateReport last);
    Awaitable<void> settle_quarantined(Delivery delivery, QuarantineNote note,
                                       std::optional<TaskMeta> meta,
                                       std::optional<WorkflowStep> step);
    /// States in between are informative: one try, and what ends meanwhile is left out.
    Awaitable<void> store_states();
    /// What must be durable is: now the message's end.
    void settle_message(FinishedTask finished);
    /// For tests that want to see what happens when messages are acknowledged before their time.
    Awaitable<void> acknowledge_early(std::vector<DeliveryTag> tags);
    Awaitable<void> keep_message(FinishedTask finished);
    Awaitable<void> requeue_later(FinishedTask finished);
    /// The delivery is done: tells the worker.
    void conclude(const FinishedTask& finished);

    AppCore& core_;
    TaskMetrics& metrics_;
    std::string hostname_;
    Hooks hooks_;
    DurableWriter writer_;
    CrashCount crashes_;
    std::vector<FinishedTask> unstored_;
    bool storing_ = false;
    std::shared_ptr<StateReports> reports_;
    bool storing_states_ = false;
    std::size_t pending_ = 0;
    Workflow workflow_;
    TaskScope scope_;
};

}  // namespace lovage

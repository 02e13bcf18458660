// The end of a task that is part of a workflow: Celery's order (reliability contract, clause 5).

#include <lovage/core/task_error.hpp>
#include <lovage/runtime/failpoint.hpp>
#include <lovage/worker/outcome_log.hpp>
#include <lovage/worker/settler.hpp>
#include <lovage/worker/task_record.hpp>

#include <optional>
#include <utility>

namespace lovage {

namespace {

/// What a success becomes when what follows it cannot be sent: Celery's worker, too, fails the task
/// then.
TaskOutcome cannot_follow(TaskOutcome outcome, const Error& problem) {
    const std::string what = "what follows the task could not be sent: " + problem.message();
    outcome.ending = Ending::failed;
    outcome.value = {};
    outcome.failure = TaskFailure{"EncodeError", what, "kombu.exceptions",
                                  traceback_text("", "while sending what follows the task",
                                                 "kombu.exceptions.EncodeError", what)};
    return outcome;
}

/// Errbacks are told of what the task could not help, not of what somebody wanted.
bool calls_errbacks(const TaskOutcome& outcome) {
    return outcome.ending == Ending::failed || outcome.ending == Ending::timed_out ||
           outcome.ending == Ending::slot_lost;
}

}  // namespace

/// Callbacks and the next step first, so that the record lists them as children; then the record;
/// then what depends on it. A worker that dies in between leaves a message that is run again, and
/// sends the same ids again.
Awaitable<bool> Settler::store_step(FinishedTask* finished) {
    const TaskRequest& request = *finished->request;
    const DurableWriter::Wanted held = while_held(*finished);
    const WorkflowStep step = workflow_step(request.message, request.follow_ups);
    Json::Array children;
    if (finished->outcome.ending == Ending::succeeded) {
        if (!held()) co_return false;
        (void)failpoint::fails(failpoint::Point::follow_ups_unsent);
        auto sent = co_await workflow_.follow(step, finished->outcome.value, held);
        (void)failpoint::fails(failpoint::Point::follow_ups_sent);
        if (sent) {
            children = std::move(*sent);
        } else if (sent.error().code == Errc::cancelled) {
            co_return false;
        } else {
            finished->outcome = cannot_follow(std::move(finished->outcome), sent.error());
            log_outcome(request, finished->outcome);
        }
    }
    if (!has_record(finished->outcome, request.acknowledge)) co_return true;
    TaskMeta meta = make_meta(request, finished->outcome, core_.settings().result_extended);
    for (Json& child : children) meta.children.push_back(std::move(child));
    std::optional<StoreOutcome> stored = StoreOutcome::stored;
    if (wants_record(*finished)) stored = co_await writer_.store(meta, held);
    if (!stored) co_return false;
    co_return co_await workflow_.conclude(step, std::move(meta), *stored,
                                          calls_errbacks(finished->outcome), held);
}

}  // namespace lovage

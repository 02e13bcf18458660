// The end of a task that is part of a workflow: Celery's order (reliability contract, clause 5).

#include <lovage/core/task_error.hpp>
#include <lovage/runtime/failpoint.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/worker/outcome_log.hpp>
#include <lovage/worker/settler.hpp>
#include <lovage/worker/task_record.hpp>

#include <iterator>
#include <optional>
#include <utility>

namespace lovage {

namespace {

using Clock = std::chrono::steady_clock;

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

Awaitable<Result<Json::Array>> Settler::follow(const FinishedTask* finished, WorkflowStep step,
                                               DurableWriter::Wanted held) {
    auto added =
        co_await workflow_.add_to_chord(finished->request, finished->outcome.chord_additions, held);
    if (!added) co_return added;
    auto sent = co_await workflow_.follow(std::move(step), finished->outcome.value, held);
    if (!sent) co_return sent;
    added->insert(added->end(), std::make_move_iterator(sent->begin()),
                  std::make_move_iterator(sent->end()));
    co_return added;
}

/// What it replaced itself by is sent, and that is all: its state stays what it was.
Awaitable<void> Settler::settle_replaced(FinishedTask finished) {
    const DurableWriter::Wanted held = while_held(finished);
    if (!held()) co_return abandon(finished);
    (void)failpoint::fails(failpoint::Point::follow_ups_unsent);
    Result<void> sent;
    if (auto added = co_await workflow_.add_to_chord(finished.request,
                                                     finished.outcome.chord_additions, held)) {
        sent = co_await workflow_.replace(finished.request, *finished.outcome.replacement, held);
    } else {
        sent = std::unexpected{std::move(added.error())};
    }
    (void)failpoint::fails(failpoint::Point::follow_ups_sent);
    if (!sent && sent.error().code == Errc::cancelled) co_return abandon(finished);
    if (!sent) {
        finished.outcome = cannot_follow(std::move(finished.outcome), sent.error());
        log_outcome(*finished.request, finished.outcome);
        co_await settle_alone(std::move(finished));
        co_return;
    }
    settle_message(std::move(finished));
}

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
        auto sent = co_await follow(finished, step, held);
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

void Settler::end_done(std::shared_ptr<TaskRequest> request, TaskMeta record) {
    log::info("worker", "Task {}[{}] came again after it had succeeded: it is not run",
              request->message.display_name(), request->message.id);
    metrics_.did_not_run(request->definition->name, "done_before");
    if (writer_.giving_up()) return;
    ++pending_;
    scope_.spawn("settle", settle_done(std::move(request), std::move(record)));
}

/// Its record was stored after everything that follows it was sent; what comes after the record may
/// be missing.
Awaitable<void> Settler::settle_done(std::shared_ptr<TaskRequest> request, TaskMeta record) {
    const DeliveryTag tag = request->delivery.tag;
    if (request->follow_ups) {
        WorkflowStep step = workflow_step(request->message, request->follow_ups);
        const bool done = co_await workflow_.conclude(std::move(step), std::move(record),
                                                      StoreOutcome::stored, false, while_held(tag));
        if (!done) co_return abandon(tag);
    }
    if (Consumer* consumer = hooks_.consumer()) consumer->ack(tag);
    --pending_;
    hooks_.settled(nullptr, nullptr, Clock::duration{});
}

}  // namespace lovage

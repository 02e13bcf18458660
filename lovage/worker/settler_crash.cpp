// What becomes of the message of a task that took its slot along.

#include <lovage/core/time.hpp>
#include <lovage/runtime/failpoint.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/worker/settler.hpp>
#include <lovage/worker/task_record.hpp>

#include <fmt/format.h>

#include <utility>

namespace lovage {

/// The message goes to the end of its queue, with one crash more, and only when it is there the old
/// one is acknowledged: a worker that dies in between leaves two, never none.
Awaitable<void> Settler::settle_lost(FinishedTask finished) {
    const TaskRequest& request = *finished.request;
    const Message& message = request.delivery.message;
    const std::size_t crashes =
        co_await crashes_.charge(request.message.id, crashes_of(message), wall_clock_now());
    const DurableWriter::Wanted held = while_held(finished);
    if (!held()) co_return abandon(finished);
    const bool endless = failpoint::left_out(failpoint::Line::crash_count);
    if (crashes >= kCrashesMost && !endless)
        co_return co_await keep_crashing(std::move(finished), crashes);
    log::warning("worker", "Task {}[{}] is run again: it took its slot along ({} of {} times)",
                 request.message.display_name(), request.message.id, crashes, kCrashesMost);
    TaskSend again;
    again.task_id = request.message.id;
    again.queue = request.delivery.queue;
    again.message = with_crashes(message, crashes);
    if (failpoint::left_out(failpoint::Line::again_before_ack)) {
        co_await acknowledge_early({request.delivery.tag});
    }
    auto sent = co_await writer_.send(std::move(again), held);
    if (!sent && sent.error().code == Errc::cancelled) co_return abandon(finished);
    if (Consumer* consumer = hooks_.consumer()) {
        if (sent) {
            consumer->ack(request.delivery.tag);
        } else {
            consumer->reject(request.delivery.tag, Requeue::yes);
        }
    }
    conclude(finished);
}

/// It was running when its worker died (journal/dead_workers.hpp), so nobody knows more.
void Settler::refuse_crashing(std::shared_ptr<TaskRequest> request, std::size_t crashes) {
    metrics_.did_not_run(request->message.task, "quarantined");
    if (writer_.giving_up()) return;
    const CrashReport crash{"the end of its whole worker process", {}, {}, {}};
    TaskOutcome outcome;
    outcome.ending = Ending::slot_lost;
    outcome.failure = worker_lost(request->message.task, crash);
    outcome.crash = std::make_shared<const CrashReport>(crash);
    ++pending_;
    scope_.spawn("quarantine", keep_crashing({std::move(request), std::move(outcome)}, crashes));
}

Awaitable<void> Settler::keep_crashing(FinishedTask finished, std::size_t crashes) {
    const TaskRequest& request = *finished.request;
    TaskOutcome& outcome = finished.outcome;
    QuarantineNote note{
        "crashed",
        fmt::format("it took its slot along {} times in {} hours, the last time: {}", crashes,
                    kCrashWindow.count(),
                    outcome.crash ? outcome.crash->cause : "an unknown cause"),
        request.delivery.queue,
        hostname_,
        wall_clock_now(),
        outcome.crash};
    log::error("worker", "Task {}[{}] is not run again and kept in quarantine: {}",
               request.message.display_name(), request.message.id, note.detail);
    const bool kept = co_await writer_.quarantine(request.delivery.message, std::move(note),
                                                  while_held(finished));
    if (!kept) co_return abandon(finished);
    outcome.ending = Ending::failed;
    const bool durable = co_await store_record(&finished);
    if (!durable) co_return abandon(finished);
    co_await forget_crashes(request.message.id, request.delivery.tag);
    if (Consumer* consumer = hooks_.consumer()) consumer->ack(request.delivery.tag);
    conclude(finished);
}

/// Tried again as results are: a replay of a task whose crashes are remembered would come back here
/// after the first one.
Awaitable<void> Settler::forget_crashes(std::string task_id, DeliveryTag tag) {
    const DurableWriter::Wanted held = while_held(tag);
    for (int attempt = 0; !writer_.giving_up() && held(); ++attempt) {
        const auto forgotten = co_await crashes_.forget(task_id);
        if (forgotten) co_return;
        if (attempt == 0) {
            log::warning("worker", "Task {}: its crashes are not forgotten yet: {}; trying again",
                         task_id, forgotten.error().message());
        }
        co_await writer_.pause_before_retry(attempt);
    }
}

}  // namespace lovage

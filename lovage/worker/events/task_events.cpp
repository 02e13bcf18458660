#include <lovage/worker/events/task_events.hpp>

#include <lovage/core/python_repr.hpp>
#include <lovage/core/task_message.hpp>
#include <lovage/core/task_meta.hpp>
#include <lovage/core/time.hpp>
#include <lovage/runtime/detail/utf8.hpp>
#include <lovage/worker/acknowledgement.hpp>
#include <lovage/worker/chord_join.hpp>

#include <chrono>
#include <csignal>
#include <utility>

namespace lovage {

namespace {

/// A result that was not read yet and is larger is shown as it stands: reading it all for the first
/// kilobyte would hold up the loop.
constexpr std::size_t kReadMost = std::size_t{64} << 10U;
constexpr std::size_t kReprMost = 1'024;
constexpr std::size_t kTracebackMost = std::size_t{16} << 10U;

EventText event_about(std::string_view type, std::string_view task_id) {
    EventText event{type, {}};
    event.fields.text("uuid", task_id);
    return event;
}

std::string iso_or_nothing(const std::optional<TimePoint>& when) {
    return when ? to_iso8601(*when) : std::string{};
}

std::string result_text(const Json& value) {
    if (value.is_raw() && value.raw_text().size() > kReadMost) {
        return std::string{detail::utf8_prefix(value.raw_text(), kReprMost)} + "...";
    }
    const auto open = value.expanded({.depth = kJsonDepthMax});
    return open ? celery_repr(*open, false) : std::string{"..."};
}

/// The end of a long one: its last line says what happened.
std::string_view cut_traceback(std::string_view text) {
    return detail::utf8_suffix(text, kTracebackMost);
}

void add_failure(EventFields& fields, const std::optional<TaskFailure>& failure) {
    // Wire: None is what a retry is for that names no reason.
    fields.text("exception", failure ? exception_repr(exception_json(*failure)) : "None");
    fields.text("traceback", failure ? cut_traceback(failure->traceback) : "");
}

EventText succeeded_event(const TaskRequest& request, const TaskOutcome& outcome) {
    EventText event = event_about("task-succeeded", request.message.id);
    event.fields.text("result", result_text(outcome.value));
    event.fields.real("runtime",
                      std::chrono::duration<double>(outcome.ended - outcome.started).count());
    return event;
}

EventText failed_event(const TaskRequest& request, const TaskOutcome& outcome) {
    EventText event = event_about("task-failed", request.message.id);
    add_failure(event.fields, outcome.failure);
    return event;
}

EventText timed_out_event(const TaskRequest& request, const TaskOutcome& outcome) {
    // Wire: billiard's exception; whole seconds as an integer.
    const auto limit = outcome.time_limit.count();
    const Json seconds = limit % 1000 == 0 ? Json{limit / 1000} : Json{double(limit) / 1000};
    const std::string exception = "TimeLimitExceeded(" + python_repr(seconds) + ",)";
    EventText event = event_about("task-failed", request.message.id);
    event.fields.text("exception", exception);
    const std::string last = "billiard.exceptions.TimeLimitExceeded: " + exception;
    event.fields.text("traceback", outcome.crash && !outcome.crash->backtrace.empty()
                                       ? cut_traceback(native_traceback(*outcome.crash, last))
                                       : std::string_view{last});
    return event;
}

EventText rejected_event(const TaskRequest& request, bool requeue) {
    EventText event = event_about("task-rejected", request.message.id);
    event.fields.boolean("requeue", requeue);
    return event;
}

EventText revoked_event(const TaskRequest& request, const TaskOutcome& outcome) {
    const bool terminated = outcome.reason == "terminated";
    EventText event = event_about("task-revoked", request.message.id);
    event.fields.boolean("terminated", terminated);
    event.fields.json("signum",
                      terminated ? Json{request.terminated_with.value_or(SIGTERM)} : Json{});
    event.fields.boolean("expired", outcome.reason == "expired");
    return event;
}

}  // namespace

EventText received_event(const TaskRequest& request) {
    const TaskMessage& message = request.message;
    EventText event = event_about("task-received", message.id);
    event.fields.text("name", message.display_name())
        .text("args", message.argsrepr)
        .text("kwargs", message.kwargsrepr)
        .text_or_null("root_id", message.root_id)
        .text_or_null("parent_id", message.parent_id.value_or(""))
        .integer("retries", message.retries)
        .text_or_null("eta", iso_or_nothing(message.eta))
        .text_or_null("expires", iso_or_nothing(message.expires));
    return event;
}

EventText started_event(const TaskRequest& request) {
    return event_about("task-started", request.message.id);
}

std::optional<EventText> ended_event(const TaskRequest& request, const TaskOutcome& outcome) {
    switch (outcome.ending) {
        case Ending::succeeded:
            return succeeded_event(request, outcome);
        case Ending::failed:
            return failed_event(request, outcome);
        case Ending::retry: {
            EventText event = failed_event(request, outcome);
            event.type = "task-retried";
            return event;
        }
        case Ending::replaced:
        case Ending::ignored:
            return std::nullopt;
        case Ending::rejected:
            return rejected_event(request, false);
        case Ending::requeued:
            return rejected_event(request, true);
        case Ending::revoked:
            return revoked_event(request, outcome);
        case Ending::timed_out:
            return timed_out_event(request, outcome);
        case Ending::slot_lost:
            if (settlement_of(outcome, request.acknowledge) == Settlement::requeue) {
                return rejected_event(request, true);
            }
            return failed_event(request, outcome);
    }
    return std::nullopt;
}

EventText unknown_task_event(std::string_view task_id, const std::string& task) {
    EventText event = event_about("task-failed", task_id);
    event.fields.text("exception", "NotRegistered(" + python_repr(Json{task}) + ")");
    return event;
}

}  // namespace lovage

#include <lovage/worker/task_record.hpp>

#include <lovage/core/python_repr.hpp>
#include <lovage/core/result_tuple.hpp>
#include <lovage/core/time.hpp>

#include <utility>

namespace lovage {

namespace {

Json children_json(const TaskContext& context) {
    Json children = Json::array();
    for (std::string& child : context.children()) children.push_back(Json::raw(std::move(child)));
    return children;
}

/// Whole seconds as an integer, as limits are usually given.
Json seconds_json(std::chrono::milliseconds time) {
    if (time.count() % 1000 == 0) return time.count() / 1000;
    return static_cast<double>(time.count()) / 1000;
}

/// Celery's `result_extended` fields.
void add_call(TaskMeta& meta, const TaskRequest& request) {
    meta.extra.set("name", request.message.task);
    meta.extra.set("args", request.message.args);
    meta.extra.set("kwargs", request.message.kwargs);
    meta.extra.set("worker", request.context->request().hostname);
    meta.extra.set("retries", request.message.retries);
    const Delivery& delivery = request.delivery;
    meta.extra.set("queue", delivery.routing_key.empty() ? delivery.queue : delivery.routing_key);
    const Json stamps = request.message.stamps.expanded().value_or(Json{});
    if (!stamps.is_object() || stamps.as_object().empty()) return;
    meta.extra.set("stamped_headers", request.message.stamped_headers);
    for (const auto& [name, value] : stamps.as_object()) meta.extra.set(name, value);
}

void set_failure(TaskMeta& meta, const TaskFailure& failure) {
    meta.status = states::kFailure;
    meta.result = exception_json(failure);
    if (!failure.traceback.empty()) meta.traceback = failure.traceback;
}

/// Wire: billiard's exception, its argument a number.
/// Celery differs: it knows no traceback of a process that it kills.
void set_time_limit_exceeded(TaskMeta& meta, const TaskOutcome& outcome) {
    const Json seconds = seconds_json(outcome.time_limit);
    set_failure(meta, {"TimeLimitExceeded", "", "billiard.exceptions", ""});
    meta.result.set("exc_message", Json::array({seconds}));
    if (!outcome.crash || outcome.crash->backtrace.empty()) return;
    meta.traceback = native_traceback(
        *outcome.crash,
        "billiard.exceptions.TimeLimitExceeded: TimeLimitExceeded(" + python_repr(seconds) + ",)");
}

/// Celery differs: it stores no traceback of a task that it terminates.
void set_revoked(TaskMeta& meta, const TaskOutcome& outcome) {
    meta.status = states::kRevoked;
    meta.result = exception_json(outcome.failure.value_or(
        TaskFailure{"TaskRevokedError", outcome.reason, "celery.exceptions", ""}));
    if (!outcome.crash || outcome.crash->backtrace.empty()) return;
    meta.traceback =
        native_traceback(*outcome.crash, "celery.exceptions.TaskRevokedError: " + outcome.reason);
}

/// Wire: celery-wire reference, sections 10.4, 10.5 and 11.3.
void set_state(TaskMeta& meta, const TaskOutcome& outcome) {
    switch (outcome.ending) {
        case Ending::succeeded:
            meta.status = states::kSuccess;
            meta.result = outcome.value;
            return;
        case Ending::retry:
            if (outcome.failure) set_failure(meta, *outcome.failure);
            meta.status = states::kRetry;
            return;
        case Ending::rejected:
            return set_failure(meta, {"Reject", outcome.reason, "celery.exceptions", ""});
        case Ending::timed_out:
            return set_time_limit_exceeded(meta, outcome);
        case Ending::revoked:
            return set_revoked(meta, outcome);
        case Ending::failed:
        case Ending::slot_lost:
        case Ending::replaced:
        case Ending::ignored:
        case Ending::requeued:
            return set_failure(meta, outcome.failure.value_or(
                                         TaskFailure{"Exception", outcome.reason, "builtins", ""}));
    }
}

void add_lineage(TaskMeta& meta, const TaskMessage& message) {
    meta.task_id = message.id;
    meta.group_id = message.group;
    meta.parent_id = message.parent_id;
}

}  // namespace

bool has_record(const TaskOutcome& outcome, const AckRules& rules) noexcept {
    switch (outcome.ending) {
        case Ending::succeeded:
        case Ending::failed:
        case Ending::retry:
        case Ending::revoked:
        case Ending::timed_out:
            return true;
        case Ending::replaced:
        case Ending::ignored:
        case Ending::requeued:
            return false;
        case Ending::rejected:
            return rules.keep_rejected;
        case Ending::slot_lost:
            return settlement_of(outcome, rules) != Settlement::requeue;
    }
    return false;
}

TaskMeta make_meta(const TaskRequest& request, const TaskOutcome& outcome, bool extended) {
    TaskMeta meta;
    add_lineage(meta, request.message);
    meta.children = children_json(*request.context);
    set_state(meta, outcome);
    if (outcome.ending == Ending::retry) {
        // The retry counts as sent by the task itself.
        meta.children.push_back(task_result_tuple(meta.task_id));
    } else {
        meta.date_done = to_iso8601(wall_clock_now());
    }
    if (extended) add_call(meta, request);
    return meta;
}

TaskMeta make_state_meta(const TaskRequest& request, std::string state, Json result,
                         bool extended) {
    TaskMeta meta;
    add_lineage(meta, request.message);
    meta.status = std::move(state);
    meta.result = std::move(result);
    meta.children = children_json(*request.context);
    if (extended) add_call(meta, request);
    return meta;
}

TaskMeta make_failure_meta(const std::string& task_id, const TaskFailure& failure) {
    TaskMeta meta;
    meta.task_id = task_id;
    meta.status = states::kFailure;
    meta.result = exception_json(failure);
    if (!failure.traceback.empty()) meta.traceback = failure.traceback;
    meta.date_done = to_iso8601(wall_clock_now());
    return meta;
}

}  // namespace lovage

#include <lovage/worker/task_run.hpp>

#include <lovage/core/task_error.hpp>
#include <lovage/core/time.hpp>

namespace lovage {

namespace {

/// `[[id, parent], null]` a child: Celery's form for a plain task (reference, section 11.2).
Json children_json(const TaskContext& context) {
    Json children = Json::array();
    for (std::string& id : context.children()) {
        children.push_back(Json::Array{Json::Array{Json{std::move(id)}, Json{}}, Json{}});
    }
    return children;
}

void add_lineage(TaskMeta& meta, const TaskMessage& message) {
    meta.task_id = message.id;
    meta.group_id = message.group;
    meta.parent_id = message.parent_id;
}

}  // namespace

TaskOutcome run_task(const TaskRequest& request) noexcept {
    TaskOutcome outcome;
    outcome.started = std::chrono::steady_clock::now();
    const TaskDefinition& task = *request.definition;
    const TaskContext::Scope current{*request.context};
    try {
        const std::vector<Json> values =
            bind_arguments(task, request.message.args, request.message.kwargs);
        outcome.value = task.run(*request.context, values);
    } catch (...) {
        outcome.failure = failure_from_exception(std::current_exception(), task.name);
    }
    outcome.ended = std::chrono::steady_clock::now();
    return outcome;
}

TaskMeta make_meta(const TaskRequest& request, const TaskOutcome& outcome, bool extended) {
    TaskMeta meta;
    add_lineage(meta, request.message);
    if (outcome.failure) {
        meta.status = states::kFailure;
        meta.result = exception_json(*outcome.failure);
        meta.traceback = outcome.failure->traceback;
    } else {
        meta.status = states::kSuccess;
        meta.result = outcome.value;
    }
    meta.children = children_json(*request.context);
    meta.date_done = to_iso8601(wall_clock_now());
    if (extended) {
        meta.extra.set("name", request.message.task);
        meta.extra.set("args", request.message.args);
        meta.extra.set("kwargs", request.message.kwargs);
        meta.extra.set("worker", request.context->request().hostname);
        meta.extra.set("retries", request.message.retries);
        meta.extra.set("queue", request.queue);
    }
    return meta;
}

TaskMeta make_revoked_meta(const TaskMessage& message, const std::string& reason) {
    TaskMeta meta;
    add_lineage(meta, message);
    meta.status = states::kRevoked;
    meta.result = exception_json({"TaskRevokedError", reason, "celery.exceptions", ""});
    meta.date_done = to_iso8601(wall_clock_now());
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

#include <lovage/worker/task_run.hpp>

#include <lovage/core/time.hpp>
#include <lovage/worker/attempt.hpp>
#include <lovage/worker/coroutine_run.hpp>

#include <utility>

namespace lovage {

std::string reason_not_to_start(const TaskRequest& request) {
    const TaskContext& context = *request.context;
    if (!context.may_start() || context.stop_reason() == StopReason::terminated) return "revoked";
    const auto& expires = request.message.expires;
    if (expires && *expires < wall_clock_now()) return "expired";
    return {};
}

std::shared_ptr<TaskContext> make_context(const TaskMessage& message, bool in_chord,
                                          const TaskDefinition& task, const Delivery& delivery,
                                          std::string hostname) {
    TaskContext::Request request;
    request.id = message.id;
    request.task = message.task;
    request.root_id = message.root_id;
    request.parent_id = message.parent_id.value_or("");
    request.retries = message.retries;
    request.queue = delivery.queue;
    request.hostname = std::move(hostname);
    request.correlation_id = message.correlation_id;
    request.reply_to = message.reply_to;
    request.group = message.group.value_or("");
    request.in_chord = in_chord && message.group;
    request.replaced_task_nesting = message.replaced_task_nesting;
    request.stamps = message.stamps.fully_expanded().value_or(Json::object());
    request.redelivered = delivery.redelivered;
    request.headers = message.user_headers;
    request.argsrepr = message.argsrepr;
    request.kwargsrepr = message.kwargsrepr;
    request.retry_policy = task.options.retry;
    return std::make_shared<TaskContext>(std::move(request));
}

TaskOutcome run_task(const TaskRequest& request) noexcept {
    const TaskDefinition& task = *request.definition;
    if (task.coroutine) return run_coroutine_here(request);
    Attempt attempt{request};
    const TaskContext::Scope current{*request.context};
    if (!attempt.begin()) return attempt.not_begun();
    try {
        const std::vector<Json> values =
            bind_arguments(task, request.message.args, request.message.kwargs);
        attempt.returned(task.run(*request.context, values));
    } catch (...) {
        attempt.threw(std::current_exception());
    }
    return attempt.end();
}

}  // namespace lovage

#include <lovage/worker/retry_message.hpp>

#include <lovage/core/task_error.hpp>

#include <string_view>
#include <utility>

namespace lovage {

namespace {

/// What a broker noted on the way of the old message says nothing about the new one.
bool broker_made(std::string_view header) {
    return header == "x-death" || header == "x-first-death-exchange" ||
           header == "x-first-death-queue" || header == "x-first-death-reason" ||
           header == "x-last-death-exchange" || header == "x-last-death-queue" ||
           header == "x-last-death-reason" || header == "x-delivery-count" ||
           header == "x-acquired-count";
}

Json kept_headers(const Json& headers) {
    Json kept = Json::object();
    for (const auto& [name, value] : headers.as_object()) {
        if (!broker_made(name)) kept.set(name, value);
    }
    return kept;
}

}  // namespace

TaskMessage make_retry(const TaskMessage& message, const RetryPlan& plan,
                       const TaskOptions& options) {
    TaskMessage again = message;
    ++again.retries;
    again.eta = plan.eta;
    if (plan.args) again.args = *plan.args;
    if (plan.kwargs) again.kwargs = *plan.kwargs;
    again.argsrepr.clear();  // computed again
    again.kwargsrepr.clear();
    // Sent from inside itself, so to say.
    if (!again.parent_id) again.parent_id = message.id;
    again.user_headers = kept_headers(message.user_headers);
    again.ignore_result = message.ignore_result || options.ignore_result.value_or(false);
    again.protocol = 2;
    return again;
}

TaskSend make_retry_send(const TaskRequest& request, const RetryPlan& plan) {
    const TaskMessage again = make_retry(request.message, plan, request.definition->options);
    TaskSend send;
    send.task_id = again.id;
    send.queue = request.delivery.queue;
    send.eta = again.eta;
    send.expires = again.expires;
    send.message = encode_task_message(again);
    return send;
}

TaskOutcome retry_impossible(TaskOutcome outcome, const Error& problem) {
    const std::string what = "the retry could not be sent: " + problem.message();
    outcome.ending = Ending::failed;
    outcome.failure = TaskFailure{
        "Reject", what, "celery.exceptions",
        traceback_text("", "while sending the retry", "celery.exceptions.Reject", what)};
    return outcome;
}

}  // namespace lovage

#include <lovage/worker/task_run.hpp>

#include <lovage/core/task_control.hpp>
#include <lovage/core/task_error.hpp>
#include <lovage/core/time.hpp>

#include <fmt/core.h>

#include <cstdint>
#include <random>

namespace lovage {

namespace {

std::int64_t random_up_to(std::int64_t most) {
    thread_local std::mt19937_64 random{std::random_device{}()};
    return std::uniform_int_distribution<std::int64_t>{0, most}(random);
}

/// A retry as Celery's log and traceback show it: "Retry in 2s: RuntimeError('try again')".
std::string retry_text(const Retry& retry, const std::optional<TaskFailure>& cause) {
    std::string text = "Retry now";
    if (retry.eta) {
        text = "Retry at " + to_iso8601(*retry.eta);
    } else if (retry.countdown && retry.countdown->count() > 0) {
        const double seconds = std::chrono::duration<double>(*retry.countdown).count();
        text = fmt::format("Retry in {}s", seconds);
    }
    if (cause) text += ": " + cause->exc_type + "('" + cause->exc_message + "')";
    return text;
}

void note_retry(TaskOutcome& outcome, const Retry& retry, const std::string& task) {
    outcome.ending = Ending::retry;
    if (retry.cause) outcome.failure = failure_from_exception(retry.cause, task);
    outcome.reason = retry_text(retry, outcome.failure);
    if (outcome.failure) {
        outcome.failure->traceback =
            traceback_text(task, "", "celery.exceptions.Retry", outcome.reason);
    }
    outcome.retry.eta = retry.eta;
    if (retry.countdown && retry.countdown->count() > 0) {
        outcome.retry.eta = wall_clock_now() + *retry.countdown;
    }
    outcome.retry.args = retry.args;
    outcome.retry.kwargs = retry.kwargs;
}

void note_stop(TaskOutcome& outcome, StopReason reason) {
    if (reason == StopReason::terminated) {
        outcome.ending = Ending::revoked;
        outcome.reason = "terminated";
    } else {
        outcome.ending = Ending::requeued;
        outcome.reason = "the worker stops";
    }
}

/// Turns the exception being handled into an outcome: everything a task can throw ends here.
void note_exception(TaskOutcome& outcome, const TaskRequest& request) {
    const std::string& task = request.definition->name;
    try {
        throw;
    } catch (const Retry& retry) {
        note_retry(outcome, retry, task);
    } catch (const Ignore&) {
        outcome.ending = Ending::ignored;
    } catch (const Reject& reject) {
        outcome.ending = reject.requeue ? Ending::requeued : Ending::rejected;
        outcome.reason = reject.reason;
    } catch (const TaskStopped& stopped) {
        note_stop(outcome, stopped.reason);
    } catch (...) {
        outcome.ending = Ending::failed;
        outcome.failure = failure_from_exception(std::current_exception(), task);
    }
}

/// Retries by itself when the task's policy names the exception; then `outcome` is the retry, or
/// stays the failure when no retry is left.
void retry_automatically(TaskOutcome& outcome, const TaskRequest& request,
                         const std::exception_ptr& error) {
    const RetryPolicy& policy = request.definition->options.retry;
    if (outcome.ending != Ending::failed || !policy.retries_for(error, *outcome.failure)) return;
    const std::int64_t retries = request.message.retries;
    if (policy.used_up(retries)) return;
    note_retry(outcome,
               Retry{.countdown = policy.automatic_delay(retries, random_up_to), .cause = error},
               request.definition->name);
}

}  // namespace

std::string reason_not_to_start(const TaskRequest& request) {
    const TaskContext& context = *request.context;
    if (!context.may_start() || context.stop_reason() == StopReason::terminated) return "revoked";
    const auto& expires = request.message.expires;
    if (expires && *expires < wall_clock_now()) return "expired";
    return {};
}

std::shared_ptr<TaskContext> make_context(const TaskMessage& message, const TaskDefinition& task,
                                          const Delivery& delivery, std::string hostname) {
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
    request.redelivered = delivery.redelivered;
    request.headers = message.user_headers;
    request.argsrepr = message.argsrepr;
    request.kwargsrepr = message.kwargsrepr;
    request.retry_policy = task.options.retry;
    return std::make_shared<TaskContext>(std::move(request));
}

TaskOutcome run_task(const TaskRequest& request) noexcept {
    TaskOutcome outcome;
    if (std::string reason = reason_not_to_start(request); !reason.empty()) {
        outcome.ending = Ending::revoked;
        outcome.reason = std::move(reason);
        return outcome;
    }
    outcome.started = std::chrono::steady_clock::now();
    const TaskDefinition& task = *request.definition;
    const TaskContext::Scope current{*request.context};
    try {
        const std::vector<Json> values =
            bind_arguments(task, request.message.args, request.message.kwargs);
        outcome.value = task.run(*request.context, values);
    } catch (...) {
        note_exception(outcome, request);
        retry_automatically(outcome, request, std::current_exception());
    }
    // Whoever terminated it must not find a result, complete or not.
    if (request.context->stop_reason() == StopReason::terminated) {
        note_stop(outcome, StopReason::terminated);
    }
    outcome.ended = std::chrono::steady_clock::now();
    return outcome;
}

}  // namespace lovage

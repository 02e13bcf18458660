#include <lovage/worker/attempt.hpp>

#include <lovage/core/task_control.hpp>
#include <lovage/core/task_error.hpp>
#include <lovage/core/task_meta.hpp>
#include <lovage/core/time.hpp>
#include <lovage/runtime/log.hpp>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/core.h>

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

/// What hooks are told of an outcome.
TaskEnd end_of(const TaskOutcome& outcome) {
    TaskEnd end{.failure = outcome.failure ? &*outcome.failure : nullptr,
                .runtime = outcome.ended - outcome.started};
    switch (outcome.ending) {
        case Ending::succeeded:
            end.state = states::kSuccess;
            break;
        case Ending::retry:
            end.state = states::kRetry;
            break;
        case Ending::replaced:
            end.state = "REPLACED";
            break;
        case Ending::ignored:
            end.state = "IGNORED";
            break;
        case Ending::rejected:
        case Ending::requeued:
            end.state = "REJECTED";
            break;
        case Ending::revoked:
            end.state = states::kRevoked;
            break;
        case Ending::failed:
        case Ending::timed_out:
        case Ending::slot_lost:
            end.state = states::kFailure;
            break;
    }
    return end;
}

/// Calls hooks in order; what one throws is logged.
template <class Hooks, class... Arguments>
void call_hooks(std::string_view kind, const Hooks& hooks, TaskContext& context,
                const Arguments&... arguments) {
    for (const auto& hook : hooks) {
        try {
            hook(context, arguments...);
        } catch (...) {
            const TaskFailure failure = failure_from_exception(std::current_exception(), "");
            log::error("worker", "Task {}[{}]: a hook ({}) failed: {}: {}", context.request().task,
                       context.id(), kind, failure.exc_type, failure.exc_message);
        }
    }
}

}  // namespace

bool Attempt::begin() {
    if (std::string reason = reason_not_to_start(request_); !reason.empty()) {
        outcome_.ending = Ending::revoked;
        outcome_.reason = std::move(reason);
        return false;
    }
    mark_ = {request_.journal, request_.message.id, wall_clock_now()};
    if (request_.hooks != nullptr) {
        call_hooks("before_task", request_.hooks->before_task, *request_.context);
    }
    outcome_.started = std::chrono::steady_clock::now();
    return true;
}

void Attempt::threw(const std::exception_ptr& error) {
    const std::string& task = request_.definition->name;
    try {
        std::rethrow_exception(error);
    } catch (const Retry& retry) {
        note_retry(outcome_, retry, task);
    } catch (const Replace& replace) {
        outcome_.ending = Ending::replaced;
        outcome_.replacement = replace.signature;
    } catch (const Ignore&) {
        outcome_.ending = Ending::ignored;
    } catch (const Reject& reject) {
        outcome_.ending = reject.requeue ? Ending::requeued : Ending::rejected;
        outcome_.reason = reject.reason;
    } catch (const TaskStopped& stopped) {
        note_stop(outcome_, stopped.reason);
    } catch (const boost::system::system_error& broken) {
        if (broken.code() != boost::asio::error::operation_aborted || !stopped_while_waiting()) {
            failed(error);
        }
    } catch (...) {
        failed(error);
    }
}

bool Attempt::stopped_while_waiting() {
    try {
        request_.context->checkpoint();
    } catch (...) {
        threw(std::current_exception());
        return true;
    }
    return false;
}

void Attempt::failed(const std::exception_ptr& error) {
    outcome_.ending = Ending::failed;
    outcome_.failure = failure_from_exception(error, request_.definition->name);
    const RetryPolicy& policy = request_.definition->options.retry;
    const std::int64_t retries = request_.message.retries;
    if (!policy.retries_for(error, *outcome_.failure) || policy.used_up(retries)) return;
    note_retry(outcome_,
               Retry{.countdown = policy.automatic_delay(retries, random_up_to), .cause = error},
               request_.definition->name);
}

TaskOutcome Attempt::end() {
    // Whoever terminated it must not find a result, complete or not.
    if (request_.context->stop_reason() == StopReason::terminated) {
        note_stop(outcome_, StopReason::terminated);
    }
    if (outcome_.ending == Ending::succeeded || outcome_.ending == Ending::replaced) {
        outcome_.chord_additions = request_.context->chord_additions();
    }
    outcome_.ended = std::chrono::steady_clock::now();
    if (request_.hooks != nullptr) tell_hooks(*request_.hooks);
    return std::move(outcome_);
}

void Attempt::tell_hooks(const TaskHooks& hooks) const {
    const TaskEnd end = end_of(outcome_);
    TaskContext& context = *request_.context;
    if (end.state == states::kFailure) call_hooks("on_failure", hooks.on_failure, context, end);
    if (end.state == states::kRetry) call_hooks("on_retry", hooks.on_retry, context, end);
    call_hooks("after_task", hooks.after_task, context, end);
}

}  // namespace lovage

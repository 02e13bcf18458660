#include <lovage/testing/apply.hpp>

#include <lovage/app/app_core.hpp>
#include <lovage/core/task_message.hpp>
#include <lovage/worker/retry_message.hpp>
#include <lovage/worker/task_record.hpp>
#include <lovage/worker/task_run.hpp>

#include <memory>

namespace lovage::testing {

namespace {

using std::chrono::milliseconds;

TaskMessage message_for(const std::string& task, Json args, Json kwargs,
                        const ApplyOptions& options) {
    TaskMessage message;
    message.id = options.task_id;
    message.root_id = options.task_id;
    message.task = task;
    message.args = std::move(args);
    message.kwargs = std::move(kwargs);
    message.argsrepr = celery_repr(message.args, true);
    message.kwargsrepr = celery_repr(message.kwargs, false);
    message.retries = options.retries;
    message.user_headers = options.headers;
    return message;
}

class KeptEvents final : public TaskContext::EventSink {
public:
    explicit KeptEvents(Applied& applied) : applied_{applied} {}
    void send(const std::string& /*task_id*/, std::string type, Json fields) override {
        applied_.events.push_back({std::move(type), std::move(fields)});
    }

private:
    Applied& applied_;
};

TaskOutcome run_once(App& app, const TaskMessage& message, const TaskDefinition& task,
                     const ApplyOptions& options, Applied& applied) {
    TaskRequest request;
    request.message = message;
    request.definition = &task;
    request.hooks = &app.core()->task_hooks();
    request.delivery.queue = options.queue;
    request.context = make_context(message, task, request.delivery, "test@localhost");
    request.context->on_update([&applied](std::string state, Json meta) {
        applied.reports.push_back({std::move(state), std::move(meta)});
    });
    request.context->send_events_to(std::make_shared<KeptEvents>(applied));
    return run_task(request);
}

std::string state_of(const TaskOutcome& outcome) {
    switch (outcome.ending) {
        case Ending::succeeded:
            return "SUCCESS";
        case Ending::retry:
            return "RETRY";
        case Ending::revoked:
            return "REVOKED";
        case Ending::ignored:
            return "IGNORED";
        case Ending::rejected:
        case Ending::requeued:
            return "REJECTED";
        case Ending::failed:
        case Ending::timed_out:
        case Ending::slot_lost:
            break;
    }
    return "FAILURE";
}

milliseconds wait_of(const RetryPlan& plan, TimePoint now) {
    if (!plan.eta || *plan.eta <= now) return milliseconds{0};
    return std::chrono::ceil<milliseconds>(*plan.eta - now);
}

}  // namespace

const Json& Applied::required() const {
    if (state == "SUCCESS") return result;
    std::string detail = "the task ended as " + state;
    if (failure) detail += ": " + failure->exc_type + ": " + failure->exc_message;
    throw LovageError{Error{Errc::task_failed, std::move(detail), failure}};
}

Applied apply(App& app, const std::string& name, Json args, Json kwargs, ApplyOptions options) {
    const TaskDefinition* task = app.tasks().find(name);
    if (task == nullptr) {
        throw LovageError{Error{Errc::not_registered, "no task named '" + name + "'"}};
    }
    TaskMessage message = message_for(name, std::move(args), std::move(kwargs), options);
    if (auto fine = check_encodable(message); !fine) throw LovageError{fine.error()};
    Applied applied;
    while (true) {
        const TimePoint begin = wall_clock_now();
        TaskOutcome outcome = run_once(app, message, *task, options, applied);
        applied.state = state_of(outcome);
        applied.result = std::move(outcome.value);
        applied.failure = std::move(outcome.failure);
        applied.retries = message.retries;
        if (outcome.ending != Ending::retry) return applied;
        applied.waits.push_back(wait_of(outcome.retry, begin));
        if (!options.follow_retries) return applied;
        message = make_retry(message, outcome.retry, task->options);
        message.eta.reset();
    }
}

}  // namespace lovage::testing

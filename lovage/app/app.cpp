#include <lovage/app/app.hpp>

#include <lovage/app/app_core.hpp>
#include <lovage/app/builtin_tasks.hpp>
#include <lovage/app/on_loop.hpp>
#include <lovage/app/planned_send.hpp>
#include <lovage/core/task_message.hpp>
#include <lovage/core/uuid.hpp>

#include <fmt/format.h>

namespace lovage {

namespace {

/// A call turned into a message, with where it goes and how long the send may take.
struct PreparedSend {
    TaskSend send;
    Deadline deadline;
    std::optional<Error> error;
    std::shared_ptr<TaskContext::Trail> trail;  ///< Of the task that sends; nullptr outside of one.
};

std::optional<TimePoint> expiry(const SendOptions& options, TimePoint now) {
    if (const auto* after = std::get_if<std::chrono::milliseconds>(&options.expires)) {
        return now + *after;
    }
    if (const auto* at = std::get_if<TimePoint>(&options.expires)) return *at;
    return std::nullopt;
}

std::optional<Error> check(const detail::Call& call) {
    if (call.task.empty()) return Error{Errc::invalid_argument, "a task name is needed"};
    return problem_with(call.options, fmt::format("task '{}'", call.task));
}

std::optional<double> seconds(std::optional<std::chrono::milliseconds> time) {
    if (!time) return std::nullopt;
    return std::chrono::duration<double>(*time).count();
}

void stamp(TaskMessage& message, const Json& stamps) {
    Json::Array names;
    for (const auto& [name, value] : stamps.as_object()) names.emplace_back(name);
    if (names.empty()) return;
    message.stamped_headers = Json{std::move(names)};
    message.stamps = stamps;
}

/// A task that sends becomes the parent of what it sends. The trail for the child, once it is sent.
std::shared_ptr<TaskContext::Trail> inherit(TaskMessage& message) {
    const TaskContext* parent = TaskContext::current();
    if (parent == nullptr) return nullptr;
    add_trace_context(message.user_headers, parent->trace());
    message.parent_id = parent->id();
    message.root_id = parent->request().root_id;
    return parent->trail();
}

PreparedSend prepare(AppCore& core, detail::Call call) {
    PreparedSend prepared{
        {},
        Deadline::in(call.options.timeout.value_or(core.settings().task_publish_timeout)),
        check(call),
        nullptr};
    PlannedCall planned;
    TaskMessage& message = planned.message;
    message.id = call.options.task_id.empty() ? uuid4() : call.options.task_id;
    prepared.send.task_id = message.id;
    if (prepared.error) return prepared;

    const TimePoint now = wall_clock_now();
    const SendOptions& options = call.options;
    message.task = call.task;
    if (options.eta) message.eta = options.eta;
    // A countdown of zero sends no eta, as in Celery.
    if (options.countdown && options.countdown->count() > 0) message.eta = now + *options.countdown;
    message.expires = expiry(options, now);
    message.priority = options.priority;
    message.time_limit = seconds(options.time_limit);
    message.soft_time_limit = seconds(options.soft_time_limit);
    stamp(message, options.stamps);
    message.args = std::move(call.args);
    message.kwargs = std::move(call.kwargs);
    message.argsrepr = std::move(call.argsrepr);
    message.user_headers = options.headers;
    add_trace_context(message.user_headers, options.trace);
    prepared.trail = inherit(message);
    planned.queue = options.queue;
    planned.ignore_result = options.ignore_result;
    TaskSend& send = prepared.send = complete_planned(core, planned);
    if (message.soft_time_limit > message.time_limit && message.time_limit) {
        prepared.error =
            Error{Errc::invalid_argument,
                  fmt::format("task '{}': soft_time_limit must be at most time_limit", call.task)};
        return prepared;
    }
    if (const TaskDefinition* task = core.registry().find(message.task)) {
        send.unique = unique_call(*task, message.args, message.kwargs, now);
    }
    if (send.unique) {
        message.user_headers.set(
            kSentHeader,
            std::chrono::floor<std::chrono::milliseconds>(now).time_since_epoch().count());
    }
    if (auto checked = check_encodable(message); !checked) {
        prepared.error = std::move(checked.error());
        return prepared;
    }
    send.message = encode_task_message(message);
    return prepared;
}

Awaitable<Result<void>> send_on_loop(std::shared_ptr<AppCore> core, TaskSend task,
                                     Deadline deadline) {
    if (!core->connected()) {
        if (auto connected = co_await core->connect(deadline); !connected) co_return connected;
    }
    co_return co_await core->client().send(std::move(task), deadline);
}

Awaitable<Sent<Json>> run_send(std::shared_ptr<AppCore> core, PreparedSend prepared) {
    const std::string id = prepared.send.task_id;
    AsyncResult<Json> result{core, id};
    if (prepared.error) co_return Sent<Json>{SendOutcome::rejected, result, prepared.error};
    auto sending = send_on_loop(core, std::move(prepared.send), prepared.deadline);
    Result<void> outcome = co_await on_loop(core, std::move(sending));
    if (!outcome && outcome.error().code == Errc::already_exists) {
        co_return Sent<Json>{
            SendOutcome::accepted, {core, std::move(outcome.error().detail)}, std::nullopt, true};
    }
    const bool unknown = !outcome && outcome.error().code == Errc::unknown_outcome;
    if (prepared.trail && (outcome || unknown)) prepared.trail->add(id);
    if (outcome) co_return Sent<Json>{SendOutcome::accepted, result, std::nullopt};
    co_return Sent<Json>{unknown ? SendOutcome::unknown : SendOutcome::rejected, result,
                         std::move(outcome.error())};
}

}  // namespace

std::string_view to_string(SendOutcome outcome) noexcept {
    switch (outcome) {
        case SendOutcome::accepted:
            return "accepted";
        case SendOutcome::rejected:
            return "rejected";
        case SendOutcome::unknown:
            return "unknown";
    }
    return "unknown";
}

namespace detail {

void set_concurrency_limit(TaskDefinition& task, ConcurrencyLimit limit) {
    if (limit.most < 1 || limit.most > ConcurrencyLimit::kMost) {
        throw LovageError{Error{Errc::invalid_argument,
                                fmt::format("task '{}': concurrency_limit: {} is not 1 to {}",
                                            task.name, limit.most, ConcurrencyLimit::kMost)}};
    }
    check_key(task, limit.key, "concurrency_limit");
    task.options.concurrency_limit = std::move(limit);
}

void set_unique(TaskDefinition& task, Unique unique) {
    const auto refuse = [&](std::string_view why) {
        throw LovageError{
            Error{Errc::invalid_argument, fmt::format("task '{}': unique: {}", task.name, why)}};
    };
    check_key(task, unique.key, "unique");
    if (unique.period && unique.period->count() <= 0) refuse("the period is greater than 0");
    if (!unique_states(unique.states)) {
        refuse("give states among PENDING, STARTED, RETRY, SUCCESS and FAILURE");
    }
    task.options.unique = std::move(unique);
}

// Not a coroutine: what depends on the calling thread (the current task) is read before anything
// suspends.
Awaitable<Sent<Json>> send_call(const std::shared_ptr<AppCore>& core, Call call) {
    return run_send(core, prepare(*core, std::move(call)));
}

std::string send_call_blocking(const std::shared_ptr<AppCore>& core, Call call) {
    if (TaskContext* const task = TaskContext::current()) task->checkpoint();
    Sent<Json> sent = core->loop().run_blocking(send_call(core, std::move(call)));
    if (!sent.accepted()) {
        throw SendError{sent.outcome, sent.result.id(), std::move(*sent.error)};
    }
    return sent.result.id();
}

}  // namespace detail

App::App(std::string name) : core_{std::make_shared<AppCore>(std::move(name))} {
    add_builtin_tasks(core_);
}
App::App(std::string name, Settings settings) : App{std::move(name)} {
    core_->configure(std::move(settings));
}
App::~App() = default;

const std::string& App::name() const noexcept {
    return core_->name();
}
void App::configure(Settings settings) {
    core_->configure(std::move(settings));
}
const Settings& App::settings() const {
    return core_->settings();
}
const TaskRegistry& App::tasks() const noexcept {
    return core_->registry();
}
TaskDefinition& App::add(TaskDefinition definition) {
    return core_->registry().add(std::move(definition));
}

App& App::before_task(TaskHooks::Before hook) {
    core_->task_hooks().before_task.push_back(std::move(hook));
    return *this;
}
App& App::after_task(TaskHooks::After hook) {
    core_->task_hooks().after_task.push_back(std::move(hook));
    return *this;
}
App& App::on_failure(TaskHooks::After hook) {
    core_->task_hooks().on_failure.push_back(std::move(hook));
    return *this;
}
App& App::on_retry(TaskHooks::After hook) {
    core_->task_hooks().on_retry.push_back(std::move(hook));
    return *this;
}
App& App::on_worker_ready(WorkerHooks::Hook hook) {
    core_->worker_hooks().ready.push_back(std::move(hook));
    return *this;
}
App& App::on_worker_shutdown(WorkerHooks::Hook hook) {
    core_->worker_hooks().shutdown.push_back(std::move(hook));
    return *this;
}

App& App::on_slot_start(std::function<void()> hook) {
    core_->worker_hooks().slot_start.push_back(std::move(hook));
    return *this;
}
App& App::on_slot_stop(std::function<void()> hook) {
    core_->worker_hooks().slot_stop.push_back(std::move(hook));
    return *this;
}

Awaitable<Sent<Json>> App::send(std::string task_name, Json args, Json kwargs,
                                SendOptions options) const {
    return detail::send_call(
        core_, {std::move(task_name), std::move(args), std::move(kwargs), std::move(options)});
}

AsyncResult<Json> App::send_task(std::string task_name, Json args, Json kwargs,
                                 SendOptions options) const {
    return {core_, detail::send_call_blocking(core_, {std::move(task_name), std::move(args),
                                                      std::move(kwargs), std::move(options)})};
}

}  // namespace lovage

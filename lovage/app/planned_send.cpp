#include <lovage/app/planned_send.hpp>

#include <chrono>
#include <optional>
#include <utility>

#include <lovage/app/app_core.hpp>
#include <lovage/core/compose.hpp>
#include <lovage/core/task_definition.hpp>

namespace lovage {

namespace {

/// The signature's word, the task's, the route's, else what the settings say (celery-wire
/// reference, sections 3.3 and 7.4). A map is routed as the task it calls.
/// Celery differs: it sends a map that is a later step of a chain by its own name.
void choose_route(AppCore& core, const PlannedCall& call, TaskSend& send, TaskMessage& message) {
    const Settings& settings = core.settings();
    const std::string mapped = mapped_task(message.task, message.kwargs);
    const std::string& name = mapped.empty() ? message.task : mapped;
    const TaskDefinition* const task = core.registry().find(name);
    const Route route = core.router().route(name);
    if (!call.exchange.empty() && call.queue.empty()) {
        send.exchange = call.exchange;
        send.queue = call.routing_key;
    } else if (!call.queue.empty()) {
        send.queue = call.queue;
    } else if (!call.routing_key.empty()) {
        send.queue = call.routing_key;  // through the default exchange
    } else if (task != nullptr && !task->options.queue.empty()) {
        send.queue = task->options.queue;
    } else {
        send.queue = route.queue.empty() ? settings.task_default_queue : route.queue;
    }
    if (!message.priority) message.priority = route.priority;
    if (!message.priority) message.priority = settings.task_default_priority;
    if (!message.priority && (task == nullptr || call.queue.empty())) message.priority = 0;
}

/// What the task itself says where the signature says nothing.
void add_own_options(const TaskDefinition* task, const Settings& settings, const PlannedCall& call,
                     TaskMessage& message) {
    const std::optional<bool> own = task != nullptr ? task->options.ignore_result : std::nullopt;
    message.ignore_result = call.ignore_result.value_or(own.value_or(settings.task_ignore_result));
    if (task == nullptr) return;
    const auto seconds = [](std::chrono::milliseconds time) {
        return std::chrono::duration<double>(time).count();
    };
    const auto& [hard, soft] = std::pair{task->options.time_limit, task->options.soft_time_limit};
    if (!message.time_limit && hard) message.time_limit = seconds(*hard);
    if (!message.soft_time_limit && soft) message.soft_time_limit = seconds(*soft);
}

}  // namespace

TaskSend complete_planned(AppCore& core, PlannedCall& call) {
    const Settings& settings = core.settings();
    TaskSend send;
    TaskMessage& message = call.message;
    choose_route(core, call, send, message);
    add_own_options(core.registry().find(message.task), settings, call, message);
    message.origin = core.origin();
    if (message.reply_to.empty()) message.reply_to = core.client_id();
    send.task_id = message.id;
    send.eta = message.eta;
    send.expires = message.expires;
    send.mark_sent = settings.task_track_sent;
    return send;
}

TaskSend prepare_planned(AppCore& core, PlannedCall call) {
    TaskSend send = complete_planned(core, call);
    send.message = encode_task_message(call.message);
    return send;
}

}  // namespace lovage

#include <lovage/worker/control/task_info.hpp>

#include <chrono>
#include <utility>

#include <lovage/core/python_repr.hpp>
#include <lovage/core/time.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace lovage::control {
namespace {

Json text_or_null(const std::string& text) {
    return text.empty() ? Json{} : Json{text};
}

Json delivery_info(const Delivery& delivery) {
    const auto priority = delivery.message.properties.priority;
    return Json::object({{"exchange", delivery.exchange},
                         {"routing_key", delivery.routing_key},
                         {"priority", priority ? Json{*priority} : Json{}},
                         {"redelivered", delivery.redelivered}});
}

/// Unix time, as Python's time.time().
double unix_time(std::chrono::steady_clock::time_point moment) {
    const auto ago = std::chrono::steady_clock::now() - moment;
    const TimePoint then = wall_clock_now() - std::chrono::duration_cast<TimePoint::duration>(ago);
    return unix_seconds(then);
}

/// Wire: the members and their order.
Json info(const TaskRequest& request, std::string_view node, Arguments arguments, Json time_start,
          Json process) {
    const TaskMessage& message = request.message;
    const bool values = arguments == Arguments::values;
    const bool started = !time_start.is_null();
    return Json::object({{"id", message.id},
                         {"name", message.display_name()},
                         {"args", values ? message.args : Json{message.argsrepr}},
                         {"kwargs", values ? message.kwargs : Json{message.kwargsrepr}},
                         {"type", message.task},
                         {"hostname", node},
                         {"time_start", std::move(time_start)},
                         {"acknowledged", started && !request.acknowledge.acks_late},
                         {"delivery_info", delivery_info(request.delivery)},
                         {"worker_pid", std::move(process)}});
}

Json seconds(const std::optional<std::chrono::milliseconds>& time) {
    return time ? Json{std::chrono::duration<double>{*time}.count()} : Json{};
}

/// The attribute of a Celery task class that is asked for; null: ours have none, or it is not set.
Json attribute_of(const std::string& task, const TaskOptions& options, std::string_view name) {
    if (name == "name") return task;
    if (name == "routing_key" || name == "queue") return text_or_null(options.queue);
    if (name == "rate_limit" && options.rate_limit && options.rate_limit->per_second != 0) {
        return to_string(*options.rate_limit);
    }
    if (name == "ignore_result") return options.ignore_result.value_or(false);
    if (name == "max_retries" && options.retry.max_retries) return *options.retry.max_retries;
    if (name == "acks_late" && options.acks_late) return *options.acks_late;
    if (name == "time_limit") return seconds(options.time_limit);
    if (name == "soft_time_limit") return seconds(options.soft_time_limit);
    return {};
}

}  // namespace

Json task_info(const TaskRequest& request, std::string_view node, Arguments arguments) {
    return info(request, node, arguments, Json{}, Json{});
}

Json task_info(const RunningTask& task, std::string_view node, Arguments arguments) {
    return info(*task.request, node, arguments, unix_time(task.started), task.process);
}

Json queue_info(const QueueSource& source, const Settings& settings) {
    const QueueDeclaration queue = queue_of(source, settings);
    const ExchangeDeclaration exchange = exchange_of(source);
    Json arguments;
    if (!queue.arguments.as_object().empty()) arguments = queue.arguments;
    return Json::object(
        {{"name", queue.name},
         {"exchange", Json::object({{"name", exchange.name},
                                    {"type", to_string(exchange.type)},
                                    {"arguments", Json{}},
                                    {"durable", exchange.durable},
                                    {"passive", false},
                                    {"auto_delete", exchange.auto_delete},
                                    {"delivery_mode", Json{}},
                                    {"no_declare", false}})},
         {"routing_key", binding_of(source).routing_key},
         {"queue_arguments", std::move(arguments)},
         {"binding_arguments", Json{}},
         {"consumer_arguments", Json{}},
         {"durable", queue.durable},
         {"exclusive", queue.exclusive},
         {"auto_delete", queue.auto_delete},
         {"no_ack", false},
         {"alias", Json{}},
         {"bindings", Json::array()},
         {"no_declare", Json{}},
         {"expires", Json{}},
         {"message_ttl", Json{}},
         {"max_length", Json{}},
         {"max_length_bytes", Json{}},
         {"max_priority", queue.max_priority ? Json{*queue.max_priority} : Json{}}});
}

std::string registered_info(const std::string& name, const TaskOptions& options,
                            const std::vector<std::string>& attributes) {
    std::vector<std::string> shown;
    for (const std::string& attribute : attributes) {
        const Json value = attribute_of(name, options, attribute);
        if (value.is_null()) continue;
        shown.push_back(fmt::format("{}={}", attribute,
                                    value.is_string() ? value.as_string() : python_repr(value)));
    }
    return shown.empty() ? name : fmt::format("{} [{}]", name, fmt::join(shown, " "));
}

}  // namespace lovage::control

// Which queues a worker consumes.

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include <lovage/worker/control/command.hpp>

#include <fmt/format.h>

namespace lovage::control {
namespace {

constexpr std::chrono::seconds kQueueDone{5};

/// Empty when it is not there. Errors: no text, or longer than AMQP's names.
Result<std::string> name_argument(const Call& call, std::string_view name) {
    constexpr std::size_t kNameBytesMost = 255;
    const Json* const value = call.argument(name);
    if (value == nullptr) return {};
    if (value->is_string() && value->as_string().size() <= kNameBytesMost) {
        return value->as_string();
    }
    return fail(Errc::invalid_argument,
                fmt::format("{} should be a name of at most {} bytes", name, kNameBytesMost));
}

/// Errors: there has to be one.
Result<std::string> queue_argument(const Call& call) {
    auto queue = name_argument(call, "queue");
    if (queue && !queue->empty()) return queue;
    return fail(Errc::invalid_argument, "queue should be a name of 1 to 255 bytes");
}

std::optional<ExchangeType> exchange_type(const Call& call) {
    const Json* const value = call.argument("exchange_type");
    if (value == nullptr || *value == Json{""}) return ExchangeType::direct;
    if (!value->is_string()) return std::nullopt;
    const std::string& name = value->as_string();
    for (const auto type : {ExchangeType::direct, ExchangeType::fanout, ExchangeType::topic}) {
        if (name == to_string(type)) return type;
    }
    return std::nullopt;
}

/// The first of the two names under which something is given. Errors: no boolean.
Result<std::optional<bool>> flag_argument(const Call& call, std::string_view name,
                                          std::string_view other = {}) {
    for (const std::string_view given : {name, other}) {
        const Json* const value = given.empty() ? nullptr : call.argument(given);
        if (value == nullptr) continue;
        if (value->is_bool()) return value->as_bool();
        return fail(Errc::invalid_argument, fmt::format("{} should be true or false", given));
    }
    return std::nullopt;
}

/// What a queue cannot be added with: to leave it out would be to consume another queue.
constexpr std::string_view kNotPossible[]{"exchange_arguments", "binding_arguments",
                                          "consumer_arguments", "bindings", "no_ack"};

bool is_empty(const Json& value) {
    return (value.is_bool() && !value.as_bool()) ||
           (value.is_array() && value.as_array().empty()) ||
           (value.is_object() && value.as_object().empty());
}

/// By kombu's names (`Queue.from_dict`).
Result<QueueSource::Options> queue_options(const Call& call) {
    for (const std::string_view name : kNotPossible) {
        const Json* const value = call.argument(name);
        if (value == nullptr || is_empty(*value)) continue;
        return fail(Errc::invalid_argument, fmt::format("{} is not possible here", name));
    }
    const auto durable = flag_argument(call, "queue_durable", "durable");
    const auto auto_delete = flag_argument(call, "queue_auto_delete", "auto_delete");
    const auto exclusive = flag_argument(call, "exclusive");
    const auto exchange_durable = flag_argument(call, "exchange_durable", "durable");
    const auto exchange_auto_delete = flag_argument(call, "exchange_auto_delete", "auto_delete");
    for (const auto* const flag :
         {&durable, &auto_delete, &exclusive, &exchange_durable, &exchange_auto_delete}) {
        if (!*flag) return std::unexpected{flag->error()};
    }
    QueueSource::Options options{.durable = *durable,
                                 .auto_delete = *auto_delete,
                                 .exclusive = exclusive->value_or(false),
                                 .exchange_durable = *exchange_durable,
                                 .exchange_auto_delete = *exchange_auto_delete};
    if (const Json* const arguments = call.argument("queue_arguments")) {
        if (!arguments->is_object())
            return fail(Errc::invalid_argument, "queue_arguments should be a map");
        options.arguments = *arguments;
    }
    return options;
}

/// Celery differs: it answers before it has tried.
Awaitable<Answer> add_consumer(Call call) {
    const auto type = exchange_type(call);
    if (!type) co_return error("exchange_type should be direct, fanout or topic");
    auto queue = queue_argument(call);
    auto exchange = name_argument(call, "exchange");
    auto key = name_argument(call, "routing_key");
    for (const auto* const name : {&queue, &exchange, &key}) {
        if (!*name) co_return error(name->error().detail);
    }
    auto options = queue_options(call);
    if (!options) co_return error(options.error().detail);
    QueueSource source{*queue, std::move(*exchange), *type, std::move(*key), std::move(*options)};
    auto added = co_await call.worker->add_queue(std::move(source), Deadline::in(kQueueDone));
    if (!added) co_return error(added.error().message());
    co_return ok("add consumer " + *queue);
}

Awaitable<Answer> cancel_consumer(Call call) {
    const auto queue = queue_argument(call);
    if (!queue) co_return error(queue.error().detail);
    auto done = co_await call.worker->cancel_queue(*queue, Deadline::in(kQueueDone));
    if (!done) co_return error(done.error().message());
    co_return ok("no longer consuming from " + *queue);
}

constexpr std::string_view kQueue[]{"queue"};

}  // namespace

std::span<const Command> queue_commands() {
    static constexpr Command kCommands[]{
        {"add_consumer", "", kQueue, std::nullopt, add_consumer},
        {"cancel_consumer", "", kQueue, std::nullopt, cancel_consumer},
    };
    return kCommands;
}

}  // namespace lovage::control

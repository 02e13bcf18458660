// Which queues a worker consumes.

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include <lovage/worker/control/command.hpp>

namespace lovage::control {
namespace {

constexpr std::chrono::seconds kQueueDone{5};

/// A text that is there, not null and no longer than AMQP's names; empty when it is not.
std::string name_argument(const Call& call, std::string_view name) {
    const Json* const value = call.argument(name);
    return value != nullptr && value->is_string() && value->as_string().size() <= 255
               ? value->as_string()
               : std::string{};
}

std::optional<ExchangeType> exchange_type(const Call& call) {
    const std::string name = name_argument(call, "exchange_type");
    if (name.empty()) return ExchangeType::direct;
    for (const auto type : {ExchangeType::direct, ExchangeType::fanout, ExchangeType::topic}) {
        if (name == to_string(type)) return type;
    }
    return std::nullopt;
}

/// Celery differs: it answers before it has tried.
Awaitable<Answer> add_consumer(Call call) {
    const auto type = exchange_type(call);
    if (!type) co_return error("exchange_type should be direct, fanout or topic");
    QueueSource source;
    source.queue = name_argument(call, "queue");
    if (source.queue.empty()) co_return error("queue should be a name of 1 to 255 bytes");
    source.exchange = name_argument(call, "exchange");
    source.exchange_type = *type;
    source.routing_key = name_argument(call, "routing_key");
    const std::string queue = source.queue;
    auto added = co_await call.worker->add_queue(std::move(source), Deadline::in(kQueueDone));
    if (!added) co_return error(added.error().message());
    co_return ok("add consumer " + queue);
}

Awaitable<Answer> cancel_consumer(Call call) {
    const std::string queue = name_argument(call, "queue");
    if (queue.empty()) co_return error("queue should be a name of 1 to 255 bytes");
    auto done = co_await call.worker->cancel_queue(queue, Deadline::in(kQueueDone));
    if (!done) co_return error(done.error().message());
    co_return ok("no longer consuming from " + queue);
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

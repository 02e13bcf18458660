#include <lovage/app/queues.hpp>

#include <lovage/app/delivery.hpp>

#include <utility>

namespace lovage {

QueueDeclaration task_queue(const Settings& settings, std::string name) {
    QueueDeclaration queue;
    std::string type = name == settings.task_default_queue
                           ? settings.task_default_queue_type
                           : settings.task_create_missing_queue_type;
    if (type.empty()) type = delivery_rules(settings).queue_type;
    if (!type.empty()) queue.arguments.set("x-queue-type", type);
    queue.name = std::move(name);
    queue.max_priority = settings.task_queue_max_priority;
    return queue;
}

Awaitable<Result<void>> declare_task_queue(Broker& broker, const Settings& settings,
                                           std::string name, Deadline deadline) {
    auto declared = co_await broker.declare_queue(task_queue(settings, name), deadline);
    if (!declared) co_return declared;
    ExchangeDeclaration exchange;
    exchange.name = name;
    declared = co_await broker.declare_exchange(std::move(exchange), deadline);
    if (!declared) co_return declared;
    Binding binding{name, name, name};
    co_return co_await broker.bind(std::move(binding), deadline);
}

std::string quarantine_queue(const std::string& queue) {
    return queue + ".quarantine";
}

}  // namespace lovage

#include <lovage/worker/queue_source.hpp>

#include <lovage/app/queues.hpp>

namespace lovage {

QueueDeclaration queue_of(const QueueSource& source, const Settings& settings) {
    QueueDeclaration queue = task_queue(settings, source.queue);
    const QueueSource::Options& options = source.options;
    queue.durable = options.durable.value_or(queue.durable);
    queue.auto_delete = options.auto_delete.value_or(queue.auto_delete);
    queue.exclusive = options.exclusive;
    for (const auto& [name, value] : options.arguments.as_object()) {
        if (name == "x-max-priority") queue.max_priority.reset();
        queue.arguments.set(name, value);
    }
    return queue;
}

ExchangeDeclaration exchange_of(const QueueSource& source) {
    ExchangeDeclaration exchange;
    exchange.name = source.exchange.empty() ? source.queue : source.exchange;
    exchange.type = source.exchange_type;
    exchange.durable = source.options.exchange_durable.value_or(exchange.durable);
    exchange.auto_delete = source.options.exchange_auto_delete.value_or(exchange.auto_delete);
    return exchange;
}

Binding binding_of(const QueueSource& source) {
    return {source.queue, exchange_of(source).name,
            source.routing_key.empty() ? source.queue : source.routing_key};
}

}  // namespace lovage

#pragma once

#include <string>

#include <lovage/brokers/broker.hpp>
#include <lovage/runtime/settings.hpp>

namespace lovage {

/// A task queue as every producer and worker of these settings declares it. Both sides must agree
/// on every argument, or the broker refuses the second one.
[[nodiscard]] QueueDeclaration task_queue(const Settings& settings, std::string name);

/// Whether these settings make it a quorum queue. RabbitMQ 4 counts how often such a queue's
/// message was given back, and drops it the 21st time unless the queue has a dead-letter exchange.
[[nodiscard]] bool is_quorum_queue(const Settings& settings, const std::string& name);

/// Declares a task queue as Celery's workers and producers do: the queue, a durable direct exchange
/// of its name, and the binding between both under that name. Messages go through the default
/// exchange; the other is there for whoever publishes to it. Lifetime: `broker` must outlive the
/// returned Awaitable. Errors: those of the broker's operations.
[[nodiscard]] Awaitable<Result<void>> declare_task_queue(Broker& broker, const Settings& settings,
                                                         std::string name, Deadline deadline);

/// Where messages that cannot become tasks are kept: "<queue>.quarantine". A name that would be too
/// long for AMQP (255 bytes) is cut, and what was cut replaced by a hash of the whole.
[[nodiscard]] std::string quarantine_queue(const std::string& queue);
/// That queue as workers declare it: as safe as the task queues of these settings.
[[nodiscard]] QueueDeclaration quarantine_declaration(const Settings& settings, std::string name);

}  // namespace lovage

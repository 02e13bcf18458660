#pragma once

#include <string>

#include <lovage/brokers/broker.hpp>
#include <lovage/runtime/settings.hpp>

namespace lovage {

/// A task queue as every producer and worker of these settings declares it. Both sides must agree
/// on every argument, or the broker refuses the second one.
[[nodiscard]] QueueDeclaration task_queue(const Settings& settings, std::string name);

/// Declares a task queue as Celery's workers and producers do: the queue, a durable direct exchange
/// of its name, and the binding between both under that name. Messages go through the default
/// exchange; the other is there for whoever publishes to it. Lifetime: `broker` and `settings` must
/// outlive the returned Awaitable. Errors: those of the broker's operations.
[[nodiscard]] Awaitable<Result<void>> declare_task_queue(Broker& broker, const Settings& settings,
                                                         std::string name, Deadline deadline);

/// Where messages that cannot become tasks are kept: "<queue>.quarantine".
[[nodiscard]] std::string quarantine_queue(const std::string& queue);

}  // namespace lovage

#pragma once

#include <string>

#include <lovage/brokers/broker.hpp>
#include <lovage/runtime/settings.hpp>

namespace lovage {

/// A task queue as every producer and worker of these settings declares it. Both sides must agree
/// on every argument, or the broker refuses the second one.
[[nodiscard]] QueueDeclaration task_queue(const Settings& settings, std::string name);

/// Where messages that cannot become tasks are kept: "<queue>.quarantine".
[[nodiscard]] std::string quarantine_queue(const std::string& queue);

}  // namespace lovage

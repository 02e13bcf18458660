#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/brokers/broker.hpp>

#include <memory>
#include <string>

namespace lovage {

/// A connection to the in-process broker `memory://name`. Brokers of the same name in one process
/// share queues, whatever their loops; everything is gone with the last of them.
[[nodiscard]] std::unique_ptr<Broker> make_memory_broker(Executor executor, std::string name);

}  // namespace lovage

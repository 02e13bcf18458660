#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/brokers/broker.hpp>

#include <memory>
#include <string>

namespace lovage {

struct AmqpBrokerOptions {
    /// One or several URLs separated by `;`, as amqp::parse_urls() reads them.
    std::string url = "amqp://localhost/";
    /// Shown by RabbitMQ's tools as the connections' name; empty: the program's name and process.
    std::string name;
};

/// RabbitMQ as the broker; tested with 3.10. Two connections: one publishes, so that a memory or
/// disk alarm stops nothing else; the other declares and consumes.
///
/// What RabbitMQ does its own way: expired messages vanish instead of being delivered marked; a
/// QueueStatus counts as unsettled what this connection holds, because AMQP tells no more; a
/// declaration that differs only in arguments RabbitMQ does not know is no conflict.
///
/// Throws LovageError: invalid_argument or malformed for a bad URL.
[[nodiscard]] std::unique_ptr<Broker> make_amqp_broker(Executor executor,
                                                       AmqpBrokerOptions options);

}  // namespace lovage

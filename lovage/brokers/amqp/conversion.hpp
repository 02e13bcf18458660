#pragma once

#include <lovage/brokers/broker.hpp>
#include <lovage/clients/amqp/consumer.hpp>
#include <lovage/clients/amqp/publisher.hpp>
#include <lovage/clients/amqp/topology.hpp>
#include <lovage/core/error.hpp>

/// Between the Broker interface's values and AMQP's.
namespace lovage::amqp_broker {

/// Wire: the arguments are those kombu gives a queue, in its order.
[[nodiscard]] amqp::QueueSpec queue_spec(QueueDeclaration queue);
[[nodiscard]] amqp::ExchangeSpec exchange_spec(ExchangeDeclaration exchange);
[[nodiscard]] amqp::Outgoing outgoing(Publication publication);
[[nodiscard]] Delivery delivery(amqp::Incoming incoming);

/// RabbitMQ's refusal of a declaration, as something a person can act on: which queue or exchange,
/// which argument, what it is, what was wanted, what to do.
[[nodiscard]] Error declaration_error(Error refusal, std::string_view what, std::string_view name);

}  // namespace lovage::amqp_broker

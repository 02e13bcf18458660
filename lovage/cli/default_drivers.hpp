#pragma once

namespace lovage {

/// Registers the drivers of this version: brokers `memory://`, `sqlite:///folder` and `amqp://`
/// (RabbitMQ), results `memory://`, `sqlite:///folder` and `redis://`. lovage::main does it;
/// programs without it call this once before the first send or read. Thread-safe.
void register_default_drivers();

}  // namespace lovage

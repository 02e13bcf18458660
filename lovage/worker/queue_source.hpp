#pragma once

#include <optional>
#include <string>

#include <lovage/brokers/broker.hpp>
#include <lovage/runtime/settings.hpp>

namespace lovage {

/// A queue that a worker shall consume, by whatever exchange its messages come.
struct QueueSource {
    /// What differs from the settings' other task queues; absent: nothing.
    struct Options {
        std::optional<bool> durable = std::nullopt;
        std::optional<bool> auto_delete = std::nullopt;
        bool exclusive = false;
        Json arguments = Json::object();  ///< Of the queue, beside those that the settings want.
        std::optional<bool> exchange_durable = std::nullopt;
        std::optional<bool> exchange_auto_delete = std::nullopt;
    };

    std::string queue;
    std::string exchange;  ///< Empty: one of the queue's name.
    ExchangeType exchange_type = ExchangeType::direct;
    std::string routing_key;  ///< Empty: the queue's name.
    Options options = {};
};

/// As they are declared.
[[nodiscard]] QueueDeclaration queue_of(const QueueSource& source, const Settings& settings);
[[nodiscard]] ExchangeDeclaration exchange_of(const QueueSource& source);
[[nodiscard]] Binding binding_of(const QueueSource& source);

}  // namespace lovage

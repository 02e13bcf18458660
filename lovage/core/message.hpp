#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include <lovage/core/json.hpp>

namespace lovage {

/// The basic properties of a message, under AMQP 0-9-1's names (celery-wire reference,
/// section 3.3). An absent optional or empty text means the property is not on the wire.
struct MessageProperties {
    std::string content_type = "application/json";
    std::string content_encoding = "utf-8";
    std::string correlation_id;
    std::string reply_to;
    /// 0–255; larger is more urgent. Only queues declared with a maximum priority honour it.
    std::optional<std::uint8_t> priority;
    /// 1 transient, 2 persistent.
    std::uint8_t delivery_mode = 2;
    /// Time to live, counted from the moment the broker accepts the message.
    std::optional<std::chrono::milliseconds> expiration;

    // Nothing of ours sets or reads these. What a foreign message came with goes on with it where
    // it is sent as it came (quarantine, delays). Only AMQP carries them.
    std::string message_id;
    std::string type;
    std::string app_id;
    std::optional<std::uint64_t> timestamp;  ///< Seconds since 1970.
};

/// One message as a broker carries it. The body is bytes: a broker never looks into it.
struct Message {
    MessageProperties properties;
    Json headers = Json::object();  ///< The header table: an object (or raw text of one).
    std::string body;
};

}  // namespace lovage

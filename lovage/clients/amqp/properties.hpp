#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <lovage/clients/amqp/wire.hpp>
#include <lovage/core/json.hpp>

namespace lovage::amqp {

/// The properties of class basic (AMQP 0-9-1, section 1.8.2). What is not there is not on the wire.
struct Properties {
    std::optional<std::string> content_type;
    std::optional<std::string> content_encoding;
    std::optional<Json> headers;  ///< An object, or raw text of one.
    std::optional<std::uint8_t> delivery_mode;
    std::optional<std::uint8_t> priority;
    std::optional<std::string> correlation_id;
    std::optional<std::string> reply_to;
    std::optional<std::string> expiration;  ///< Milliseconds, in digits.
    std::optional<std::string> message_id;
    std::optional<std::uint64_t> timestamp;  ///< Seconds since 1970.
    std::optional<std::string> type;
    std::optional<std::string> user_id;
    std::optional<std::string> app_id;
    std::optional<std::string> cluster_id;

    friend bool operator==(const Properties&, const Properties&) = default;
};

/// Appends the payload of a content header frame: class, weight, body size, flags, properties.
void write_content_header(WireWriter& out, const Properties& properties, std::uint64_t body_bytes);

struct ContentHeader {
    std::uint64_t body_bytes = 0;
    Properties properties;
};
/// Reads the payload of a content header frame; check `in.ok()` afterwards. It fails for another
/// class and for unknown properties, whose types nobody knows.
[[nodiscard]] ContentHeader read_content_header(WireReader& in);

}  // namespace lovage::amqp

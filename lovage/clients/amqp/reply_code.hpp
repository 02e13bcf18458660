#pragma once

#include <cstdint>
#include <string_view>

#include <lovage/core/error.hpp>

namespace lovage::amqp {

/// Why a peer closed a channel or a connection (AMQP 0-9-1, section 1.2, and RabbitMQ's additions).
enum class ReplyCode : std::uint16_t {
    success = 200,
    content_too_large = 311,
    no_route = 312,
    no_consumers = 313,
    connection_forced = 320,
    invalid_path = 402,
    access_refused = 403,
    not_found = 404,
    resource_locked = 405,
    precondition_failed = 406,
    frame_error = 501,
    syntax_error = 502,
    command_invalid = 503,
    channel_error = 504,
    unexpected_frame = 505,
    resource_error = 506,
    not_allowed = 530,
    not_implemented = 540,
    internal_error = 541,
};

/// The error a caller gets for a reply: not_found (404), conflict (405, 406), rejected (402, 403,
/// 530), too_large (311), unavailable (506), disconnected for everything else.
[[nodiscard]] Error reply_error(std::uint16_t code, std::string_view text);

}  // namespace lovage::amqp

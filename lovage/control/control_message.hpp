#pragma once

#include <lovage/control/control_names.hpp>
#include <lovage/control/node_pattern.hpp>
#include <lovage/core/error.hpp>
#include <lovage/core/json.hpp>
#include <lovage/core/message.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Requests and replies of remote control as messages (celery-wire reference, sections 16.1 and
/// 16.2). No I/O.
namespace lovage {

/// Where a reply goes.
struct ReplyAddress {
    std::string exchange;
    std::string routing_key;
    friend bool operator==(const ReplyAddress&, const ReplyAddress&) = default;
};

/// One command to all workers, to those named, or to those whose node name matches a pattern.
struct ControlRequest {
    std::string method;
    Json arguments = Json::object();
    std::vector<std::string> destination = {};  ///< Node names; empty: not restricted by name.
    /// With its matcher; one without the other restricts nothing (as in kombu).
    std::optional<std::string> pattern = std::nullopt;
    std::optional<NodeMatcher> matcher = std::nullopt;
    std::optional<std::string> ticket = std::nullopt;     ///< Repeated by every reply.
    std::optional<ReplyAddress> reply_to = std::nullopt;  ///< Absent: nobody waits for a reply.
    std::uint64_t clock = 0;                              ///< The sender's LamportClock.
    /// Unix time in seconds at which the asker gives up; 0: never. Celery's workers do not check.
    double expires = 0;
    friend bool operator==(const ControlRequest&, const ControlRequest&) = default;
};

/// What one worker answers.
struct ControlReply {
    std::string ticket;
    std::string node;
    Json value;  ///< `{"ok": …}`, `{"error": text}`, or the plain value of an inspect command.
    std::uint64_t clock = 0;
    friend bool operator==(const ControlReply&, const ControlReply&) = default;
};

/// Bounds for messages from outside. A reply may be large: `active` of a busy worker lists the
/// arguments of every task.
struct ControlLimits {
    JsonLimits request = {.depth = 64, .bytes = std::size_t{1} << 20U};
    JsonLimits reply = {.depth = 256, .bytes = std::size_t{16} << 20U};
};

/// Errors: malformed (names the member and what was expected), too_large. Unknown members and
/// header fields are ignored, as workers of any version do.
[[nodiscard]] Result<ControlRequest> decode_control_request(const Message& message,
                                                            const ControlLimits& limits = {});
/// The same for a reply.
[[nodiscard]] Result<ControlReply> decode_control_reply(const Message& message,
                                                        const ControlLimits& limits = {});

[[nodiscard]] Message encode_control_request(const ControlRequest& request);
[[nodiscard]] Message encode_control_reply(const ControlReply& reply);

/// A request on its way to every mailbox; no worker need be there.
[[nodiscard]] Publication control_publication(const ControlNames& names,
                                              const ControlRequest& request);
/// A reply on its way to who asked; that one may be gone.
[[nodiscard]] Publication reply_publication(const ReplyAddress& to, const ControlReply& reply);

/// Is the worker `node` meant? A pattern that cannot be tried within its bounds means nobody.
[[nodiscard]] bool addressed_to(const ControlRequest& request, std::string_view node);

}  // namespace lovage

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <lovage/core/json.hpp>
#include <lovage/core/message.hpp>
#include <lovage/core/time.hpp>

namespace lovage {

/// A task message that a producer has sent, and where it went.
struct SentTask {
    const Json& headers;  ///< Those of protocol 2.
    const std::string& queue;
    const std::string& exchange;  ///< Empty: the default one; else `queue` is the routing key.
};

/// An event, ready to be published.
struct EventPublication {
    std::string routing_key;
    Message message;
};

/// `task-sent` of the producer `origin` ("gen<pid>@<host>"). Nothing when the headers are none of a
/// task.
[[nodiscard]] std::optional<EventPublication> sent_event(const SentTask& task,
                                                         const std::string& origin,
                                                         std::uint64_t clock, TimePoint now);

}  // namespace lovage

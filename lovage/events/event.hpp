#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <lovage/core/error.hpp>
#include <lovage/core/json.hpp>
#include <lovage/core/message.hpp>
#include <lovage/core/time.hpp>

namespace lovage {

/// Something that happened to a worker or a task, as Celery tells it (celery-wire reference,
/// section 15).
struct Event {
    std::string type;            ///< "worker-heartbeat", "task-received", or one's own "task-…".
    std::string hostname;        ///< The worker's node name; "gen<pid>@<host>" of a producer.
    std::int64_t pid = 0;        ///< The sender's main process.
    std::int64_t clock = 0;      ///< Lamport's.
    std::int64_t utcoffset = 0;  ///< Of the sender: hours, positive west of Greenwich.
    double timestamp = 0;        ///< Unix time in seconds.
    /// What else it says, in order: of a task's event `uuid` first.
    Json fields = Json::object();

    [[nodiscard]] bool about_task() const noexcept { return type.starts_with("task-"); }
    [[nodiscard]] bool about_worker() const noexcept { return type.starts_with("worker-"); }
    /// The field when it is text, else nothing.
    [[nodiscard]] std::string_view text(std::string_view field) const noexcept;

    friend bool operator==(const Event&, const Event&) = default;
};

/// Bounds for reading events; reaching one is Errc::too_large.
struct EventLimits {
    std::size_t body_bytes = std::size_t{8} << 20U;
    std::size_t events = 10'000;  ///< In one message.
};

/// What was in one message.
struct EventBatch {
    std::vector<Event> events;
    std::size_t refused = 0;  ///< Elements that are no events: left out.
};

/// Reads a message of the event exchange: one map or a list of maps, under whatever routing key.
/// An event needs a `type` and a `hostname` of 1 to 255 bytes and a finite `timestamp`; a missing
/// or odd pid, clock or utcoffset counts as 0. Lists and maps in its fields are kept raw. Errors:
/// malformed (no JSON, or another content type), too_large.
///
/// Celery differs: it moves timestamps by the difference of both time zones, although Unix time has
/// none; here they stay as they were sent.
[[nodiscard]] Result<EventBatch> decode_events(const Message& message,
                                               const EventLimits& limits = {});

/// Wire: the body of a single event, byte for byte as Celery writes it.
[[nodiscard]] std::string encode_event(const Event& event);
/// Wire: the body of a list of events.
[[nodiscard]] std::string encode_events(std::span<const Event> events);

/// Wire: "worker-elect-ack" goes under "worker.elect.ack".
[[nodiscard]] std::string event_routing_key(std::string_view type);
/// Wire: lists of task events go under this key.
inline constexpr std::string_view kTaskBatchRoutingKey = "task.multi";
/// Wire: the message of a body: JSON, transient, priority 0, the sender's name in its table.
[[nodiscard]] Message event_message(const std::string& hostname, std::string body);

/// Celery's utcoffset of this machine at a moment: hours, positive west of Greenwich, halves
/// rounded down.
[[nodiscard]] std::int64_t utc_offset(TimePoint when) noexcept;

}  // namespace lovage

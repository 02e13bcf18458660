#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <lovage/core/json.hpp>

namespace lovage {

/// The fields of an event as text from the start: a worker at full speed writes tens of thousands
/// of them a second.
class EventFields {
public:
    EventFields& text(std::string_view name, std::string_view value);
    /// Empty: null.
    EventFields& text_or_null(std::string_view name, std::string_view value);
    EventFields& integer(std::string_view name, std::int64_t value);
    EventFields& real(std::string_view name, double value);
    EventFields& boolean(std::string_view name, bool value);
    EventFields& json(std::string_view name, const Json& value);

    /// `"uuid": "…", "retries": 0`
    [[nodiscard]] const std::string& members() const noexcept { return members_; }

private:
    std::string& member(std::string_view name);
    std::string members_;
};

/// Who sends events: what all of them begin with.
class EventSource {
public:
    EventSource(std::string hostname, std::int64_t pid);

    [[nodiscard]] const std::string& hostname() const noexcept { return hostname_; }
    /// The time zone may change while a worker runs (daylight saving).
    void set_utc_offset(std::int64_t hours);

    /// Appends one event. Wire: the order of the fields is Celery's.
    void append(std::string& out, std::string_view type, std::int64_t clock, double timestamp,
                const EventFields& fields) const;

private:
    std::string hostname_;
    std::int64_t pid_;
    std::string opening_;  // up to the clock
};

}  // namespace lovage

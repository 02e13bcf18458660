#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include <lovage/core/error.hpp>

namespace lovage {

/// Wall-clock time, UTC, in microseconds: what Celery writes.
using TimePoint = std::chrono::sys_time<std::chrono::microseconds>;

[[nodiscard]] TimePoint wall_clock_now();

/// ISO 8601 as Python's `datetime.isoformat()` writes an aware UTC time: "2026-11-21T16:27:00.818150+00:00"
/// (no fraction when it is zero).
[[nodiscard]] std::string to_iso8601(TimePoint when);
/// Reads what Celery and kombu write: date and time with `T` or a blank, optional fraction (1–9 digits,
/// microseconds kept), `Z`, `±hh:mm`, `±hhmm`, `±hh` or nothing (read as UTC); a bare date is midnight.
/// Errors: malformed, naming the text.
[[nodiscard]] Result<TimePoint> parse_iso8601(std::string_view text);

}  // namespace lovage

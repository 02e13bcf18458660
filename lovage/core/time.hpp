#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include <lovage/core/error.hpp>

namespace lovage {

/// Wall-clock time, UTC, in microseconds: what Celery writes.
using TimePoint = std::chrono::sys_time<std::chrono::microseconds>;

[[nodiscard]] TimePoint wall_clock_now();

namespace detail {
/// From here on wall_clock_now() returns `now`; nothing: the time again. Any thread. For
/// testing::ManualClock.
void set_wall_clock(std::optional<TimePoint> now) noexcept;
}  // namespace detail

/// Unix time in seconds, as Python's `time.time()` and the fields of events have it.
[[nodiscard]] double unix_seconds(TimePoint when) noexcept;

/// ISO 8601 as Python's `datetime.isoformat()` writes an aware UTC time:
/// "2026-11-21T16:27:00.818150+00:00" (no fraction when it is zero). Python knows the years 1 to
/// 9999 only; a moment outside them is written as the nearest one inside, so that what we send can
/// always be read.
[[nodiscard]] std::string to_iso8601(TimePoint when);
/// Reads what Celery and kombu write: date and time with `T` or a blank, seconds and fraction
/// optional (1–9 digits, microseconds kept), then `Z`, `±hh:mm`, `±hhmm`, `±hh` or nothing (read as
/// UTC); a bare date is midnight. Years 0001 to 9999, after the offset is applied, too. Errors:
/// malformed, naming the text and what is wrong with it.
[[nodiscard]] Result<TimePoint> parse_iso8601(std::string_view text);

}  // namespace lovage

#pragma once

#include <lovage/beat/schedule_entry.hpp>
#include <lovage/core/error.hpp>
#include <lovage/core/json.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace lovage {

/// Most entries of one schedule.
inline constexpr std::size_t kScheduleEntriesMax = 10'000;

/// Reads a `beat_schedule`: Celery's dictionary as JSON, or as a table of a settings file. A map
/// from names to entries:
///
///     {"nightly": {"task": "report", "schedule": "0 4 * * *", "args": ["sales"],
///                  "kwargs": {}, "options": {"queue": "slow", "expires": 3600}, "relative":
///                  false}}
///
/// `schedule` is a number of seconds, a crontab as text, or a map: crontab's fields by name
/// ({"minute": "*/15", "hour": "8-17"}), or {"every": seconds, "relative": true}. RedBeat's
/// "__type__" may stand beside them. Of our own are "enabled", "catch_up" ("latest", "all") and
/// "starting_deadline" (seconds), and "since" (a time, up to which none comes).
///
/// Celery differs: it hands options it does not know to the broker's library. Errors:
/// invalid_argument, naming entry and key; too_large.
[[nodiscard]] Result<std::vector<ScheduleEntry>> read_beat_schedule(const Json& schedule);
/// One entry of it.
[[nodiscard]] Result<ScheduleEntry> read_schedule_entry(std::string_view name, const Json& entry);
/// What read_schedule_entry() reads again.
[[nodiscard]] Json write_schedule_entry(const ScheduleEntry& entry);

/// What is remembered of an entry, as it lies in the state store. Errors: malformed.
[[nodiscard]] Result<EntryState> read_entry_state(std::string_view text);
[[nodiscard]] std::string write_entry_state(const EntryState& state);

/// Errors: invalid_argument, for a name that is empty or too long.
[[nodiscard]] Result<void> check_entry_name(std::string_view name);

}  // namespace lovage

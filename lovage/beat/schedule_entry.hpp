#pragma once

#include <lovage/app/send_options.hpp>
#include <lovage/beat/schedule.hpp>
#include <lovage/core/json.hpp>
#include <lovage/core/time.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace lovage {

/// What becomes of the times at which no beat was there.
enum class CatchUp : std::uint8_t {
    latest,  ///< However many they were, the latest one comes, late: what Celery does.
    all,     ///< Each of them comes, oldest first; those of more than a day ago do not.
};

/// A task and its times: an entry of Celery's `beat_schedule`.
struct ScheduleEntry {
    std::string name;  ///< Unique in its schedule; 1 to 200 bytes.
    std::string task;
    Schedule schedule;
    Json args = Json::array();
    Json kwargs = Json::object();
    /// How it is sent. Not `task_id` and `eta`; `expires` counts from the moment it is sent.
    SendOptions options;
    CatchUp catch_up = CatchUp::latest;
    /// A time that is later than that does not come any more; nothing: however late. Celery's
    /// `beat_cron_starting_deadline`, for a single entry.
    std::optional<std::chrono::seconds> starting_deadline;
    bool enabled = true;
    /// Times up to here do not come: when it was resumed.
    std::optional<TimePoint> since;
};

/// Gives a crontab without a `starting_deadline` of its own this one: the setting
/// `beat_cron_starting_deadline`, if there is one.
void set_cron_deadline(ScheduleEntry& entry, std::optional<std::chrono::seconds> deadline);

/// What is remembered of an entry from one time to the next.
struct EntryState {
    /// Up to here everything is decided: the next time is the first one after it. Of a new entry,
    /// the moment it was first seen, so that an interval first runs after its length.
    TimePoint decided_until;
    /// A time that is being sent: it may have been, and nobody has noted it yet.
    std::optional<TimePoint> pending;
    std::optional<TimePoint> last_run_at;  ///< When it was sent last.
    std::uint64_t total_run_count = 0;
    std::uint64_t missed_count = 0;  ///< Times that did not come, as far as they were counted.

    friend bool operator==(const EntryState&, const EntryState&) = default;
};

/// What is to be done about an entry now.
struct Decision {
    std::optional<TimePoint> fire;  ///< The time that comes now; nothing: only some were missed.
    EntryState state;               ///< What to remember before anything is sent.
};

/// When there is something to do about an entry next.
[[nodiscard]] TimePoint due_time(const ScheduleEntry& entry, const EntryState& state,
                                 const TimeZone& zone);
/// Up to when no time comes, if that is more than a minute after `now`: what is decided, or since
/// when the entry is resumed, was written by a clock that was ahead. Nothing: all is well.
[[nodiscard]] std::optional<TimePoint> silent_until(const ScheduleEntry& entry,
                                                    const EntryState& state, TimePoint now);
/// Pure. Nothing: the entry has nothing due at `now`.
[[nodiscard]] std::optional<Decision> decide(const ScheduleEntry& entry, const EntryState& state,
                                             TimePoint now, const TimeZone& zone);

/// The id of the task that is sent for one time of an entry (UUID5). Every beat that sends it, and
/// one that sends it again after a crash, uses the same.
[[nodiscard]] std::string firing_id(const std::string& schedule, const std::string& entry,
                                    TimePoint time);

}  // namespace lovage

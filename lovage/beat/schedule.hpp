#pragma once

#include <lovage/beat/crontab.hpp>
#include <lovage/beat/time_zone.hpp>
#include <lovage/core/error.hpp>
#include <lovage/core/time.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

namespace lovage {

/// Every so often: Celery's `schedule`, which a number of seconds stands for.
///
/// Celery differs: it counts from the moment it sent the last time, on the wall clock. So its
/// intervals drift by every delay, and one that spans a change of the clock is an hour too long or
/// too short. Here each time is exactly `every` after the one before.
class Interval {
public:
    /// 10 ms to 100 years. `relative`: rounded down to the unit of `every` (days, hours, minutes;
    /// below a minute: not at all) on the zone's wall clock, so that every hour means on the hour.
    /// Errors: invalid_argument.
    [[nodiscard]] static Result<Interval> from(std::chrono::microseconds every,
                                               bool relative = false);

    [[nodiscard]] TimePoint next_after(TimePoint last, const TimeZone& zone) const;

    [[nodiscard]] std::chrono::microseconds every() const noexcept { return every_; }
    [[nodiscard]] bool relative() const noexcept { return relative_; }
    /// "every 30 s", "every 1 h, rounded down".
    [[nodiscard]] std::string text() const;
    friend bool operator==(const Interval&, const Interval&) = default;

private:
    Interval(std::chrono::microseconds every, bool relative) : every_{every}, relative_{relative} {}
    std::chrono::microseconds every_;
    bool relative_;
};

/// Interval::from() for schedules written in a program: `every(30s)`. Throws LovageError.
[[nodiscard]] Interval every(std::chrono::microseconds time);

/// When something is to happen.
using Schedule = std::variant<Crontab, Interval>;

/// The first time of `schedule` after `last`, which for an interval is the time before it.
[[nodiscard]] TimePoint next_after(const Schedule& schedule, TimePoint last, const TimeZone& zone);
/// The latest time of `schedule` after `last` that is not after `now`, and how many others lie
/// between; at most kMissedMax are counted. Nothing when none has come.
struct LatestTime {
    TimePoint time;
    std::uint64_t missed = 0;
};
inline constexpr std::uint64_t kMissedMax = 1000;
[[nodiscard]] std::optional<LatestTime> latest_until(const Schedule& schedule, TimePoint last,
                                                     TimePoint now, const TimeZone& zone);
/// For people: "0 4 * * *", "every 30 s".
[[nodiscard]] std::string to_text(const Schedule& schedule);

}  // namespace lovage

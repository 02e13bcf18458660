#pragma once

#include <lovage/beat/cron_field.hpp>
#include <lovage/beat/time_zone.hpp>
#include <lovage/core/error.hpp>
#include <lovage/core/time.hpp>

#include <string>
#include <string_view>

namespace lovage {

/// The fields of a crontab, in the order and under the names of Celery's constructor. See
/// expand_cron_field() for what may stand in them.
struct CrontabFields {
    CronSpec minute = "*";
    CronSpec hour = "*";
    CronSpec day_of_week = "*";    ///< 0–6, Sunday is 0.
    CronSpec day_of_month = "*";   ///< 1–31
    CronSpec month_of_year = "*";  ///< 1–12
};

/// A schedule in the manner of cron: Celery's `crontab`.
///
/// A time fits when *all* fields do: `0 0 1 * mon` is a first of the month that is a Monday, where
/// cron would run on every first and on every Monday.
///
/// Fields are times on the wall clock of a zone. Where that clock is changed:
///
/// - A schedule for certain hours runs once for each of its times. One that the clock skips comes
///   as late as it would have without the change (02:30 of a day without its third hour: at 03:30);
///   one that the clock shows twice comes the first time.
/// - A schedule for all hours (`*/10 * * * *`) goes by what the clock shows: times that are shown
///   twice come twice, skipped ones do not come.
///
/// Celery differs in the second case: of an hour shown twice it skips one (an every-ten-minutes
/// task rests for an hour), and a time that is skipped by less than an hour's change comes extra.
///
/// A value; immutable, thread-safe.
class Crontab {
public:
    /// The text form, "minute hour day-of-month month day-of-week", with one blank between fields
    /// (Celery 5.5's `crontab.from_string`). Errors: invalid_argument, naming the field and what is
    /// wrong with it.
    [[nodiscard]] static Result<Crontab> parse(std::string_view text);
    /// Errors: invalid_argument, also for a date that never comes (30 February), at which Celery's
    /// beat would end.
    [[nodiscard]] static Result<Crontab> from(const CrontabFields& fields);

    /// The first time later than `after` (of the years 1 to 9999).
    [[nodiscard]] TimePoint next_after(TimePoint after, const TimeZone& zone) const;

    /// The text form, which parse() reads again.
    [[nodiscard]] const std::string& text() const noexcept { return text_; }

    /// The same times, however they were written.
    friend bool operator==(const Crontab& left, const Crontab& right) noexcept {
        return left.minute_ == right.minute_ && left.hour_ == right.hour_ &&
               left.day_of_week_ == right.day_of_week_ &&
               left.day_of_month_ == right.day_of_month_ &&
               left.month_of_year_ == right.month_of_year_;
    }

private:
    Crontab() = default;
    [[nodiscard]] WallTime next_wall_time(WallTime after) const;
    [[nodiscard]] std::chrono::local_days next_day(std::chrono::local_days from) const;
    [[nodiscard]] bool fits(std::chrono::local_days day) const;
    [[nodiscard]] TimePoint next_even(TimePoint after, const ZoneSpan& span) const;
    [[nodiscard]] TimePoint next_skipped(TimePoint after, const ZoneSpan& span) const;

    std::string text_;
    CronSet minute_;
    CronSet hour_;
    CronSet day_of_week_;
    CronSet day_of_month_;
    CronSet month_of_year_;
    bool every_hour_ = false;
};

/// Crontab::parse() for schedules written in a program: `crontab("0 4 * * *")`. Throws LovageError.
[[nodiscard]] Crontab crontab(std::string_view text);
/// `crontab({.minute = "0", .hour = "4"})`. Throws LovageError.
[[nodiscard]] Crontab crontab(const CrontabFields& fields);

}  // namespace lovage

#include <lovage/beat/crontab.hpp>

#include <lovage/runtime/detail/printable.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <fmt/format.h>

namespace lovage {

namespace {

using std::chrono::floor;
using std::chrono::hours;
using std::chrono::local_days;
using std::chrono::minutes;
using std::chrono::year_month_day;

constexpr CronRange kMinute{"minute", 0, 59};
constexpr CronRange kHour{"hour", 0, 23};
constexpr CronRange kDayOfWeek{"day_of_week", 0, 6};
constexpr CronRange kDayOfMonth{"day_of_month", 1, 31};
constexpr CronRange kMonthOfYear{"month_of_year", 1, 12};

/// A field as it can stand in the text form: as it was written, or, where white space would make
/// several of it, by its values.
std::string text_of(const CronSpec& spec, const CronSet& values) {
    const auto is_space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
    if (const auto* text = std::get_if<std::string>(&spec)) {
        if (std::ranges::none_of(*text, is_space)) return *text;
    }
    return fmt::format("{}", fmt::join(values.values(), ","));
}

bool date_exists(const CronSet& days, const CronSet& months) {
    constexpr std::array<int, 12> kLongest{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const int first = days.at_least(1);
    return std::ranges::any_of(months.values(), [first, &kLongest](int month) {
        return first <= kLongest.at(static_cast<std::size_t>(month - 1));
    });
}

WallTime wall_time(TimePoint when, std::chrono::seconds offset) {
    return WallTime{floor<std::chrono::seconds>(when.time_since_epoch()) + offset};
}

TimePoint moment(WallTime wall, std::chrono::seconds offset) {
    return TimePoint{wall.time_since_epoch() - offset};
}

}  // namespace

Result<Crontab> Crontab::parse(std::string_view text) {
    std::array<std::string, 5> parts;
    std::size_t count = 0;
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find(' ', begin), text.size());
        if (count < parts.size()) parts.at(count) = text.substr(begin, end - begin);
        ++count;
        begin = end + 1;
    }
    if (count != parts.size()) {
        return fail(Errc::invalid_argument,
                    fmt::format("crontab: '{}' is not five fields with one blank between them: "
                                "minute hour day-of-month month day-of-week",
                                detail::printable_line(text.substr(0, 100))));
    }
    return from({.minute = parts[0],
                 .hour = parts[1],
                 .day_of_week = parts[4],
                 .day_of_month = parts[2],
                 .month_of_year = parts[3]});
}

Result<Crontab> Crontab::from(const CrontabFields& fields) {
    Crontab made;
    struct Field {
        CronSet* set;
        const CronRange* range;
        const CronSpec* spec;
    };
    const std::array<Field, 5> all{{{&made.minute_, &kMinute, &fields.minute},
                                    {&made.hour_, &kHour, &fields.hour},
                                    {&made.day_of_month_, &kDayOfMonth, &fields.day_of_month},
                                    {&made.month_of_year_, &kMonthOfYear, &fields.month_of_year},
                                    {&made.day_of_week_, &kDayOfWeek, &fields.day_of_week}}};
    for (const Field& field : all) {
        auto set = expand_cron_field(*field.range, *field.spec);
        if (!set) return std::unexpected{std::move(set.error())};
        *field.set = *set;
        made.text_ += (made.text_.empty() ? "" : " ") + text_of(*field.spec, *set);
    }
    if (!date_exists(made.day_of_month_, made.month_of_year_)) {
        return fail(Errc::invalid_argument,
                    fmt::format("crontab: '{}': there is no such day of the month", made.text_));
    }
    made.every_hour_ = made.hour_.covers(kHour);
    return made;
}

bool Crontab::fits(local_days day) const {
    const auto date = year_month_day{day};
    return month_of_year_.contains(static_cast<int>(unsigned{date.month()})) &&
           day_of_month_.contains(static_cast<int>(unsigned{date.day()})) &&
           day_of_week_.contains(static_cast<int>(std::chrono::weekday{day}.c_encoding()));
}

/// The first day that fits, `from` or later. There is one within 40 years: every date has fallen on
/// every day of the week by then, also a 29 February over a year 2100.
local_days Crontab::next_day(local_days from) const {
    auto date = year_month_day{from};
    for (;;) {
        if (!month_of_year_.contains(static_cast<int>(unsigned{date.month()}))) {
            date = date.year() / date.month() / 1 + std::chrono::months{1};
            continue;
        }
        const auto month = date.month();
        for (local_days day{date}; year_month_day{day}.month() == month;
             day += std::chrono::days{1}) {
            if (fits(day)) return day;
        }
        date = date.year() / month / 1 + std::chrono::months{1};
    }
}

/// The first wall time after `after` that fits.
WallTime Crontab::next_wall_time(WallTime after) const {
    const auto from = floor<minutes>(after) + minutes{1};
    const auto day = floor<std::chrono::days>(from);
    if (fits(day)) {
        const int hour = static_cast<int>(floor<hours>(from - day).count());
        const int minute = static_cast<int>((from - day - hours{hour}).count());
        if (hour_.contains(hour)) {
            if (const int next = minute_.at_least(minute); next >= 0) {
                return day + hours{hour} + minutes{next};
            }
        }
        if (const int next = hour_.at_least(hour + 1); next >= 0) {
            return day + hours{next} + minutes{minute_.at_least(0)};
        }
        return next_day(day + std::chrono::days{1}) + hours{hour_.at_least(0)} +
               minutes{minute_.at_least(0)};
    }
    return next_day(day) + hours{hour_.at_least(0)} + minutes{minute_.at_least(0)};
}

/// The first time after `after` on the evenly running clock of `span`; a schedule for certain hours
/// leaves out what the clock shows for the second time.
TimePoint Crontab::next_even(TimePoint after, const ZoneSpan& span) const {
    WallTime wall = wall_time(after, span.offset);
    if (!every_hour_ && span.offset < span.offset_before) {
        const WallTime shown_before = wall_time(span.begin, span.offset_before);
        wall = std::max(wall, shown_before - std::chrono::seconds{1});
    }
    return moment(next_wall_time(wall), span.offset);
}

/// The first of the times that were skipped when `span` began, moved behind the change.
TimePoint Crontab::next_skipped(TimePoint after, const ZoneSpan& span) const {
    if (every_hour_ || span.offset <= span.offset_before) return TimePoint::max();
    const WallTime wall =
        std::max(wall_time(after, span.offset_before),
                 wall_time(span.begin, span.offset_before) - std::chrono::seconds{1});
    const WallTime next = next_wall_time(wall);
    if (next >= wall_time(span.begin, span.offset)) return TimePoint::max();
    return moment(next, span.offset_before);
}

TimePoint Crontab::next_after(TimePoint after, const TimeZone& zone) const {
    for (ZoneSpan span = zone.span_at(after);; span = zone.span_at(span.end)) {
        const TimePoint next = std::min(next_even(after, span), next_skipped(after, span));
        if (next < span.end) return next;
        after = span.end - std::chrono::microseconds{1};
    }
}

Crontab crontab(std::string_view text) {
    return value_or_throw(Crontab::parse(text));
}
Crontab crontab(const CrontabFields& fields) {
    return value_or_throw(Crontab::from(fields));
}

}  // namespace lovage

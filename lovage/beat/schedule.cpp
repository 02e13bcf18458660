#include <lovage/beat/schedule.hpp>

#include <algorithm>
#include <optional>

#include <fmt/core.h>

namespace lovage {

namespace {

using std::chrono::floor;
using std::chrono::microseconds;
using std::chrono::seconds;

constexpr microseconds kShortest = std::chrono::milliseconds{10};
constexpr microseconds kLongest = std::chrono::years{100};

/// The unit that the times of an interval are rounded down to; nothing: they are not.
std::optional<seconds> unit_of(const Interval& interval) {
    if (!interval.relative()) return std::nullopt;
    for (const seconds unit :
         {seconds{std::chrono::days{1}}, seconds{std::chrono::hours{1}}, seconds{60}}) {
        if (interval.every() >= unit) return unit;
    }
    return std::nullopt;
}

/// `when` rounded down on the wall clock of its zone.
TimePoint round_down(TimePoint when, seconds unit, const TimeZone& zone) {
    const ZoneSpan span = zone.span_at(when);
    const seconds wall = floor<seconds>(when.time_since_epoch()) + span.offset;
    const seconds rounded = wall - ((wall % unit) + unit) % unit;
    const TimePoint time{rounded - span.offset};
    return time < span.begin ? TimePoint{rounded - span.offset_before} : time;
}

std::string duration_text(microseconds time) {
    struct Unit {
        microseconds size;
        const char* name;
    };
    for (const Unit& unit : {Unit{std::chrono::days{1}, "d"}, Unit{std::chrono::hours{1}, "h"},
                             Unit{std::chrono::minutes{1}, "min"}, Unit{seconds{1}, "s"}}) {
        if (time % unit.size == microseconds{0}) {
            return fmt::format("{} {}", time / unit.size, unit.name);
        }
    }
    return fmt::format("{} s", std::chrono::duration<double>{time}.count());
}

/// How many times lie within (`last`, `latest`), counted up to kMissedMax.
std::uint64_t count_between(const Schedule& schedule, TimePoint last, TimePoint latest,
                            const TimeZone& zone) {
    std::uint64_t count = 0;
    for (TimePoint time = next_after(schedule, last, zone); time < latest && count < kMissedMax;
         time = next_after(schedule, time, zone)) {
        ++count;
    }
    return count;
}

/// The latest time of a crontab that is not after `now`, given that there is one after `last`:
/// the first moment from which on the next time lies in the future, by halving.
TimePoint latest_of(const Crontab& times, TimePoint last, TimePoint now, const TimeZone& zone) {
    std::int64_t before = floor<seconds>(last).time_since_epoch().count();  // next is not after now
    std::int64_t behind = floor<seconds>(now).time_since_epoch().count();   // next is after now
    while (behind - before > 1) {
        const std::int64_t middle = before + (behind - before) / 2;
        const bool future = times.next_after(TimePoint{seconds{middle}}, zone) > now;
        (future ? behind : before) = middle;
    }
    return times.next_after(TimePoint{seconds{before}}, zone);
}

}  // namespace

Result<Interval> Interval::from(microseconds every, bool relative) {
    if (every < kShortest || every > kLongest) {
        return fail(Errc::invalid_argument,
                    fmt::format("an interval of {} s is not within 0.01 s and 100 years",
                                std::chrono::duration<double>{every}.count()));
    }
    return Interval{every, relative};
}

TimePoint Interval::next_after(TimePoint last, const TimeZone& zone) const {
    const TimePoint next = last + every_;
    const auto unit = unit_of(*this);
    if (!unit) return next;
    // Where the clock is set back, rounding down could reach `last` again.
    const TimePoint rounded = round_down(next, *unit, zone);
    return rounded > last ? rounded : next;
}

std::string Interval::text() const {
    return fmt::format("every {}{}", duration_text(every_), relative_ ? ", rounded down" : "");
}

Interval every(microseconds time) {
    return value_or_throw(Interval::from(time));
}

TimePoint next_after(const Schedule& schedule, TimePoint last, const TimeZone& zone) {
    return std::visit([&](const auto& times) { return times.next_after(last, zone); }, schedule);
}

std::optional<LatestTime> latest_until(const Schedule& schedule, TimePoint last, TimePoint now,
                                       const TimeZone& zone) {
    const TimePoint first = next_after(schedule, last, zone);
    if (first > now) return std::nullopt;
    if (const auto* times = std::get_if<Crontab>(&schedule)) {
        const TimePoint latest = latest_of(*times, last, now, zone);
        return LatestTime{latest, count_between(schedule, last, latest, zone)};
    }
    const auto& interval = std::get<Interval>(schedule);
    // Whole intervals at once; the last ones one by one, since the clock may have been changed.
    const auto unit = unit_of(interval);
    const microseconds step = unit ? interval.every() - interval.every() % *unit : interval.every();
    const auto whole = std::max<std::int64_t>((now - first) / step - 2, 0);
    LatestTime latest{first, static_cast<std::uint64_t>(whole)};
    if (whole > 0) {
        latest.time = first + whole * step;
        if (unit) latest.time = round_down(latest.time, *unit, zone);
    }
    for (TimePoint next = interval.next_after(latest.time, zone); next <= now;
         next = interval.next_after(latest.time, zone)) {
        latest = {next, latest.missed + 1};
    }
    latest.missed = std::min(latest.missed, kMissedMax);
    return latest;
}

std::string to_text(const Schedule& schedule) {
    return std::visit([](const auto& times) { return times.text(); }, schedule);
}

}  // namespace lovage

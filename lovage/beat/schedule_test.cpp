#include <lovage/beat/schedule.hpp>

#include <chrono>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lovage/beat/detail/test_entries.hpp>
#include <tests/support/fixture.hpp>

namespace lovage {
namespace {

using testing_support::at;
using namespace std::chrono_literals;
using testing_support::load_fixture;

TimeZone berlin() {
    return value_or_throw(TimeZone::load("Europe/Berlin"));
}
Interval relative(std::chrono::microseconds time) {
    return value_or_throw(Interval::from(time, true));
}

// As for crontabs: what Celery answers at `now`.
TEST(Interval, IsDueWhenCeleryIs) {
    for (const Json& row : load_fixture("celery_schedules.json").find("interval")->as_array()) {
        const auto schedule =
            value_or_throw(Interval::from(std::chrono::seconds{*row.find("run_every")->as_int64()},
                                          row.find("relative")->as_bool()));
        const TimePoint now = at(row.find("now")->as_string());
        const TimePoint next =
            schedule.next_after(at(row.find("last_run_at")->as_string()), TimeZone{});
        EXPECT_EQ(next <= now, row.find("is_due")->as_bool());
        // Celery's answer for one that is due is the interval itself.
        const std::chrono::duration<double> away = next <= now ? schedule.every() : next - now;
        EXPECT_EQ(away.count(), row.find("next_seconds")->as_real());
    }
}

TEST(Interval, RelativeMeansOnTheWallClocksUnit) {
    EXPECT_EQ(relative(24h).next_after(at("2026-03-28T12:00:00Z"), berlin()),
              at("2026-03-28T23:00:00Z"));
    // The day on which the clock is changed has 23 hours.
    EXPECT_EQ(relative(24h).next_after(at("2026-03-28T23:00:00Z"), berlin()),
              at("2026-03-29T22:00:00Z"));
    EXPECT_EQ(relative(90min).next_after(at("2026-01-01T10:20:00Z"), TimeZone{}),
              at("2026-01-01T11:00:00Z"));
    // Below a minute nothing is rounded.
    EXPECT_EQ(relative(1500ms).next_after(at("2026-01-01T10:00:00.7Z"), TimeZone{}),
              at("2026-01-01T10:00:02.2Z"));
}

TEST(Interval, HasBounds) {
    EXPECT_FALSE(Interval::from(0s));
    EXPECT_FALSE(Interval::from(-1s));
    EXPECT_FALSE(Interval::from(9ms));
    EXPECT_TRUE(Interval::from(10ms));
    EXPECT_FALSE(Interval::from(std::chrono::years{101}));
}

TEST(Schedule, ReadsWell) {
    EXPECT_EQ(to_text(every(90s)), "every 90 s");
    EXPECT_EQ(to_text(every(2h)), "every 2 h");
    EXPECT_EQ(to_text(every(250ms)), "every 0.25 s");
    EXPECT_EQ(to_text(relative(24h)), "every 1 d, rounded down");
    EXPECT_EQ(to_text(crontab("0 4 * * *")), "0 4 * * *");
}

TEST(LatestUntil, IsNothingBeforeTheFirstTime) {
    EXPECT_FALSE(latest_until(every(1min), at("2026-01-01T10:00:00Z"), at("2026-01-01T10:00:59Z"),
                              TimeZone{}));
    EXPECT_FALSE(latest_until(crontab("0 4 * * *"), at("2026-01-01T04:00:00Z"),
                              at("2026-01-02T03:59:59.999999Z"), TimeZone{}));
}

TEST(LatestUntil, TellsHowManyTimesWereMissed) {
    const TimePoint last = at("2026-01-01T10:00:00Z");
    const TimePoint now = at("2026-01-01T10:07:30Z");
    const auto interval = latest_until(every(1min), last, now, TimeZone{});
    ASSERT_TRUE(interval);
    EXPECT_EQ(interval->time, at("2026-01-01T10:07:00Z"));
    EXPECT_EQ(interval->missed, 6U);

    const auto cron = latest_until(crontab("* * * * *"), last, now, TimeZone{});
    ASSERT_TRUE(cron);
    EXPECT_EQ(cron->time, interval->time);
    EXPECT_EQ(cron->missed, 6U);
}

TEST(LatestUntil, StopsCountingAtItsLimit) {
    const auto cron = latest_until(crontab("* * * * *"), at("2020-01-01T00:00:00Z"),
                                   at("2026-06-01T10:00:30Z"), TimeZone{});
    ASSERT_TRUE(cron);
    EXPECT_EQ(cron->time, at("2026-06-01T10:00:00Z"));
    EXPECT_EQ(cron->missed, kMissedMax);

    const auto interval = latest_until(every(10ms), at("2020-01-01T00:00:00Z"),
                                       at("2026-06-01T10:00:00Z"), TimeZone{});
    ASSERT_TRUE(interval);
    EXPECT_EQ(interval->time, at("2026-06-01T10:00:00Z"));
    EXPECT_EQ(interval->missed, kMissedMax);
}

/// Compares latest_until() with walking from time to time, at moments `step` apart.
void expect_latest(const Schedule& schedule, TimePoint last, TimePoint end,
                   std::chrono::microseconds step) {
    std::optional<TimePoint> latest;
    TimePoint next = next_after(schedule, last, berlin());
    for (TimePoint now = last; now < end; now += step) {
        while (next <= now) {
            latest = next;
            next = next_after(schedule, next, berlin());
        }
        const auto found = latest_until(schedule, last, now, berlin());
        ASSERT_EQ(found ? std::optional{found->time} : std::nullopt, latest)
            << to_text(schedule) << " at " << to_iso8601(now);
    }
}

TEST(LatestUntil, IsTheOneBeforeNowForEverySchedule) {
    const TimePoint last = at("2023-12-24T18:00:05Z");
    for (const Schedule& schedule :
         {Schedule{crontab("30 2 * * *")}, Schedule{crontab("*/20 * * * *")},
          Schedule{crontab("0 0 29 2 *")}, Schedule{every(7h)}, Schedule{relative(24h)},
          Schedule{relative(90min)}, Schedule{relative(50h)}}) {
        expect_latest(schedule, last, at("2025-01-01T00:00:00Z"), 163h + 7min);
    }
    for (const Schedule& schedule :
         {Schedule{every(10ms)}, Schedule{relative(10ms)}, Schedule{relative(500ms)},
          Schedule{relative(1500ms)}, Schedule{relative(59s)}, Schedule{relative(90s)}}) {
        expect_latest(schedule, last, last + 10min, 17s + 3ms);
    }
}

}  // namespace
}  // namespace lovage

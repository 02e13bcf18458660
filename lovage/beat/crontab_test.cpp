#include <lovage/beat/crontab.hpp>

#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lovage/beat/detail/test_entries.hpp>
#include <tests/support/fixture.hpp>

namespace lovage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::at;
using testing_support::load_fixture;

TimeZone zone(std::string_view name) {
    return value_or_throw(TimeZone::load(name));
}

/// The next `count` times after `from`, in UTC.
std::vector<std::string> times(std::string_view schedule, std::string_view place,
                               std::string_view from, std::size_t count) {
    const Crontab made = crontab(schedule);
    std::vector<std::string> found;
    for (TimePoint time = at(from); found.size() < count;) {
        time = made.next_after(time, zone(place));
        found.push_back(to_iso8601(time).substr(0, 16));
    }
    return found;
}
std::string refusal(std::string_view text) {
    const auto made = Crontab::parse(text);
    return made ? "taken" : made.error().detail;
}
CronRange range_of(const Json& row) {
    const int min = static_cast<int>(*row.find("min")->as_int64());
    return {"field", min, static_cast<int>(*row.find("max")->as_int64()) + min - 1};
}
CronSpec spec_of(const Json* value) {
    if (value == nullptr) return "*";
    if (value->is_string()) return value->as_string();
    return std::vector{static_cast<int>(*value->as_int64())};
}
Crontab crontab_of(const Json& fields) {
    return crontab({.minute = spec_of(fields.find("minute")),
                    .hour = spec_of(fields.find("hour")),
                    .day_of_week = spec_of(fields.find("day_of_week")),
                    .day_of_month = spec_of(fields.find("day_of_month")),
                    .month_of_year = spec_of(fields.find("month_of_year"))});
}

// What Celery 5.6.3 makes of the same text, see the fixture.

TEST(CronField, ExpandsAsCelery) {
    const Json facts = load_fixture("celery_schedules.json");
    for (const Json& row : facts.find("fields")->as_array()) {
        const std::string& spec = row.find("spec")->as_string();
        const auto set = expand_cron_field(range_of(row), spec);
        ASSERT_TRUE(set) << set.error().detail;
        Json::Array values;
        for (const int value : set->values()) values.emplace_back(value);
        EXPECT_EQ(Json::array(values), *row.find("values")) << spec;
    }
}

TEST(CronField, RefusesWhatCeleryRefuses) {
    const Json facts = load_fixture("celery_schedules.json");
    for (const Json& row : facts.find("errors")->as_array()) {
        const std::string& spec = row.find("spec")->as_string();
        EXPECT_EQ(expand_cron_field(range_of(row), spec).has_value(), row.find("values") != nullptr)
            << spec;
    }
}

TEST(CronField, ReadsNumbersAsPythonDoes) {
    const CronRange minutes{"minute", 0, 59};
    for (const char* five : {"5", " 5", "5 ", "+5", "05", "0_5", "\t5\n"}) {
        EXPECT_EQ(expand_cron_field(minutes, five), (CronSet{5})) << five;
    }
    for (const char* none :
         {"_5", "5_", "0__5", "5.0", "++5", "5 5", "0x5", " ", "-5", "* ", " *"}) {
        EXPECT_FALSE(expand_cron_field(minutes, none)) << none;
    }
    EXPECT_FALSE(expand_cron_field(minutes, "99999999999999999999"));
    EXPECT_EQ(expand_cron_field(minutes, "*/99999999999999999999"), (CronSet{0}));
}

TEST(CronField, SaysWhatIsWrong) {
    EXPECT_EQ(refusal("61 * * * *"), "crontab: minute '61': 61 is not within 0 to 59");
    EXPECT_EQ(refusal("* * * * 7"), "crontab: day_of_week '7': 7 is not within 0 to 6");
    EXPECT_EQ(refusal("5/10 * * * *"),
              "crontab: minute '5/10': '5/10' is neither a number nor the name of a day or month");
    EXPECT_EQ(refusal("0,,5 * * * *"), "crontab: minute '0,,5': an empty part");
    EXPECT_THAT(refusal(std::string(5000, '1') + " * * * *"), HasSubstr("it is too long"));
    EXPECT_THAT(refusal("*  * * * *"), HasSubstr("is not five fields with one blank between"));
    EXPECT_THAT(refusal("* * * *"), HasSubstr("is not five fields"));
    EXPECT_THAT(refusal("0 0 30 2 *"), HasSubstr("there is no such day of the month"));
    EXPECT_FALSE(Crontab::from({.hour = std::vector<int>{}}));
    EXPECT_THROW((void)crontab("tomorrow"), LovageError);
}

TEST(Crontab, ReadsTheTextFormInCronsOrder) {
    EXPECT_EQ(crontab("1 2 3 4 5"), crontab({.minute = "1",
                                             .hour = "2",
                                             .day_of_week = "5",
                                             .day_of_month = "3",
                                             .month_of_year = "4"}));
    EXPECT_EQ(crontab({.minute = std::vector{0, 30}, .day_of_week = "mon"}).text(),
              "0,30 * * * mon");
    // What follows a range is ignored, and must not become part of it.
    EXPECT_EQ(crontab({.minute = "0, 30", .hour = "8-9\t9"}).text(), "0,30 8,9 * * *");
    EXPECT_EQ(crontab("*/30 * * * 1"), crontab("0,30 * * * mon"));
}

// A vector says what Celery answers at `now` about an entry that ran last at `last_run_at`: is it
// due, and how many seconds is the next time away. Those with a deadline are in entry_test.cpp.
TEST(Crontab, IsDueWhenCeleryIs) {
    const Json facts = load_fixture("celery_schedules.json");
    for (const Json& row : facts.find("due")->as_array()) {
        const std::string& name = row.find("case")->as_string();
        if (!row.find("beat_cron_starting_deadline")->is_null()) continue;
        const TimeZone place = zone(row.find("timezone")->as_string());
        const TimePoint last = at(row.find("last_run_at")->as_string());
        const TimePoint now = at(row.find("now")->as_string());
        const Crontab schedule = crontab_of(*row.find("crontab"));

        const bool due = schedule.next_after(last, place) <= now;
        EXPECT_EQ(due, row.find("is_due")->as_bool()) << name;
        const TimePoint next = schedule.next_after(due ? now : last, place);
        const std::chrono::duration<double> away = next - now;
        EXPECT_EQ(away.count(), row.find("next_seconds")->as_real()) << name;
    }
}

TEST(Crontab, AllFieldsMustFit) {
    EXPECT_THAT(times("0 0 1 * mon", "UTC", "2026-01-01T00:00", 3),
                ElementsAre("2026-06-01T00:00", "2027-02-01T00:00", "2027-03-01T00:00"));
}

TEST(Crontab, FindsRareDates) {
    EXPECT_THAT(times("0 12 29 2 mon", "UTC", "2026-01-01T00:00", 3),
                ElementsAre("2044-02-29T12:00", "2072-02-29T12:00", "2112-02-29T12:00"));
    EXPECT_THAT(times("59 23 31 12 *", "Asia/Kolkata", "2026-12-31T18:29", 1),
                ElementsAre("2027-12-31T18:29"));
}

TEST(Crontab, IsStrictlyLater) {
    EXPECT_THAT(times("* * * * *", "UTC", "2026-01-01T00:00:59.999999", 2),
                ElementsAre("2026-01-01T00:01", "2026-01-01T00:02"));
}

// Berlin, 2026-03-29: the clock goes from 01:59:59 (UTC+1) to 03:00 (UTC+2).

TEST(Crontab, ASkippedTimeOfCertainHoursComesAsLateAsWithoutTheChange) {
    EXPECT_THAT(times("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00", 3),
                ElementsAre("2026-03-28T01:30", "2026-03-29T01:30", "2026-03-30T00:30"));
}

TEST(Crontab, ASkippedTimeThatFallsOnAnotherOneComesOnce) {
    EXPECT_THAT(times("30 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00", 3),
                ElementsAre("2026-03-29T01:30", "2026-03-30T00:30", "2026-03-30T01:30"));
}

TEST(Crontab, EveryHourGoesByTheClockWhereItSkips) {
    EXPECT_THAT(times("30 * * * *", "Europe/Berlin", "2026-03-29T00:00", 3),
                ElementsAre("2026-03-29T00:30", "2026-03-29T01:30", "2026-03-29T02:30"));
    // Lord Howe skips half an hour: there is no 02:00 on this day.
    EXPECT_THAT(times("0 * * * *", "Australia/Lord_Howe", "2026-10-03T14:00", 3),
                ElementsAre("2026-10-03T14:30", "2026-10-03T16:00", "2026-10-03T17:00"));
}

// Berlin, 2026-10-25: 02:00 to 02:59 come twice, at UTC+2 and at UTC+1.

TEST(Crontab, ATimeOfCertainHoursThatIsShownTwiceComesTheFirstTime) {
    EXPECT_THAT(times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", 2),
                ElementsAre("2026-10-25T00:30", "2026-10-26T01:30"));
    EXPECT_THAT(times("0 2,3 * * *", "Europe/Berlin", "2026-10-24T12:00", 3),
                ElementsAre("2026-10-25T00:00", "2026-10-25T02:00", "2026-10-26T01:00"));
    // Also when asked within the second pass.
    EXPECT_THAT(times("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10", 1),
                ElementsAre("2026-10-26T01:30"));
}

TEST(Crontab, EveryHourComesInBothPasses) {
    EXPECT_THAT(times("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:45", 6),
                ElementsAre("2026-10-25T00:00", "2026-10-25T00:30", "2026-10-25T01:00",
                            "2026-10-25T01:30", "2026-10-25T02:00", "2026-10-25T02:30"));
}

TEST(Crontab, ADayThatAZoneLeftOutComesWithTheNextOne) {
    // Samoa went from 2011-12-29 (UTC-10) to 2011-12-31 (UTC+14).
    EXPECT_THAT(times("0 4 30 * *", "Pacific/Apia", "2011-12-01T00:00", 2),
                ElementsAre("2011-12-30T14:00", "2012-01-29T14:00"));
    EXPECT_THAT(times("0 4 * * *", "Pacific/Apia", "2011-12-29T00:00", 3),
                ElementsAre("2011-12-29T14:00", "2011-12-30T14:00", "2011-12-31T14:00"));
}

TEST(Crontab, KeepsTheLastRuleForYearsNoFileLists) {
    EXPECT_THAT(times("0 12 1 1,7 *", "Europe/Berlin", "2090-01-01T12:00", 2),
                ElementsAre("2090-07-01T10:00", "2091-01-01T11:00"));
}

TEST(TimeZone, RefusesWhatIsNoName) {
    for (const char* bad : {"", "/etc/passwd", "../../etc/passwd", "Europe/Berlin\n", "a b"}) {
        EXPECT_EQ(TimeZone::load(bad).error().code, Errc::invalid_argument) << bad;
    }
    EXPECT_EQ(TimeZone::load("Europe/Atlantis").error().code, Errc::not_found);
    EXPECT_EQ(TimeZone{}.name(), "UTC");
}

}  // namespace
}  // namespace lovage

#include <lovage/beat/schedule_json.hpp>

#include <chrono>
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/core.h>

namespace lovage {
namespace {

using namespace std::chrono_literals;

ScheduleEntry read_entry(std::string_view json) {
    return value_or_throw(read_schedule_entry("it", value_or_throw(parse_json(json))));
}
std::string entry_refusal(std::string_view json) {
    const auto entry = read_schedule_entry("it", value_or_throw(parse_json(json)));
    return entry ? "read" : entry.error().detail;
}

TEST(BeatSchedule, ReadsACeleryEntry) {
    const ScheduleEntry entry = read_entry(
        R"({"task": "report", "schedule": 30.5, "args": [1, "two"], "kwargs": {"x": null},
            "options": {"queue": "slow", "expires": 12, "priority": 3, "time_limit": 1.5},
            "relative": false})");
    EXPECT_EQ(entry.name, "it");
    EXPECT_EQ(entry.task, "report");
    EXPECT_EQ(entry.schedule, Schedule{every(30500ms)});
    EXPECT_EQ(to_json_text(entry.args), R"([1, "two"])");
    EXPECT_EQ(to_json_text(entry.kwargs), R"({"x": null})");
    EXPECT_EQ(entry.options.queue, "slow");
    EXPECT_EQ(std::get<std::chrono::milliseconds>(entry.options.expires), 12s);
    EXPECT_EQ(entry.options.priority, 3);
    EXPECT_EQ(entry.options.time_limit, 1500ms);
    EXPECT_TRUE(entry.enabled);
    EXPECT_EQ(entry.catch_up, CatchUp::latest);
}

TEST(BeatSchedule, ReadsSchedulesInAllForms) {
    const auto schedule = [](std::string_view json) {
        return read_entry(R"({"task": "t", "schedule": )" + std::string{json} + "}").schedule;
    };
    const Schedule quarter = crontab("*/15 8-17 * * mon");
    EXPECT_EQ(schedule(R"("*/15 8-17 * * mon")"), quarter);
    EXPECT_EQ(schedule(R"({"minute": "*/15", "hour": "8-17", "day_of_week": 1})"), quarter);
    // RedBeat's way.
    EXPECT_EQ(schedule(R"({"__type__": "crontab", "minute": [0, 15, 30, 45], "hour": "8-17",
                           "day_of_week": "mon", "day_of_month": "*", "month_of_year": "*"})"),
              quarter);
    EXPECT_EQ(schedule(R"({"__type__": "interval", "every": 60.0, "relative": false})"),
              Schedule{every(1min)});
    EXPECT_EQ(schedule(R"({"every": 3600, "relative": true})"),
              Schedule{value_or_throw(Interval::from(1h, true))});
    EXPECT_EQ(read_entry(R"({"task": "t", "schedule": 3600, "relative": true})").schedule,
              Schedule{value_or_throw(Interval::from(1h, true))});
}

TEST(BeatSchedule, SaysWhatIsWrong) {
    EXPECT_EQ(entry_refusal("[]"), "beat_schedule: 'it' is no map");
    EXPECT_EQ(entry_refusal(R"({"schedule": 1})"), "beat_schedule: 'it': task is missing");
    EXPECT_EQ(entry_refusal(R"({"task": "t"})"), "beat_schedule: 'it': schedule is missing");
    EXPECT_EQ(entry_refusal(R"({"task": "t", "schedule": "61 * * * *"})"),
              "beat_schedule: 'it': schedule: crontab: minute '61': 61 is not within 0 to 59");
    EXPECT_EQ(entry_refusal(R"({"task": "t", "schedule": true})"),
              "beat_schedule: 'it': schedule: is no number of seconds");
    EXPECT_EQ(entry_refusal(R"({"task": "t", "schedule": {"every": 1, "hour": 2}})"),
              "beat_schedule: 'it': schedule: 'hour' does not go with 'every'");
    EXPECT_EQ(entry_refusal(R"({"task": "t", "schedule": {"hours": 2}})"),
              "beat_schedule: 'it': schedule: 'hours' is no field of a crontab");
    EXPECT_EQ(entry_refusal(R"({"task": "t", "schedule": {"hour": 2.5}})"),
              "beat_schedule: 'it': schedule: hour is neither text, nor a number, nor numbers");
    EXPECT_EQ(entry_refusal(R"({"task": "t", "schedule": 1, "arguments": []})"),
              "beat_schedule: 'it': arguments is not known here");
    EXPECT_EQ(entry_refusal(R"({"task": "t", "schedule": 1, "args": {}})"),
              "beat_schedule: 'it': args is not a list");
    EXPECT_EQ(entry_refusal(R"({"task": "t", "schedule": 1, "options": {"exchange": "x"}})"),
              "beat_schedule: 'it' options': exchange is not known here");
    EXPECT_EQ(entry_refusal(R"({"task": "t", "schedule": 1, "catch_up": "some"})"),
              "beat_schedule: 'it': catch_up is not 'latest' or 'all'");
    for (const char* since : {"3", R"("noon")"}) {
        EXPECT_EQ(
            entry_refusal(fmt::format(R"({{"task": "t", "schedule": 1, "since": {}}})", since)),
            "beat_schedule: 'it': since is not a time");
    }
    EXPECT_FALSE(read_schedule_entry("", Json::object()));
    EXPECT_FALSE(read_schedule_entry(std::string(201, 'x'), Json::object()));
    EXPECT_FALSE(read_beat_schedule(Json::array()));
}

TEST(BeatSchedule, WritesWhatItReads) {
    for (
        const char* json :
        {R"({"task": "t", "schedule": "0 4 * * *", "args": [1], "kwargs": {"a": 2}, "options": {}})",
         R"({"task": "t", "schedule": 0.5, "args": [], "kwargs": {}, "options": {"queue": "q", "priority": 0, "expires": 60, "countdown": 1.5, "time_limit": 3, "soft_time_limit": 2, "headers": {"h": 1}, "ignore_result": true}, "enabled": false, "catch_up": "all", "starting_deadline": 90})",
         R"({"task": "t", "schedule": {"every": 86400, "relative": true}, "args": [], "kwargs": {}, "options": {"expires": "2027-01-01T00:00:00+00:00"}, "since": "2026-01-01T10:00:00.500000+00:00"})"}) {
        EXPECT_EQ(to_json_text(write_schedule_entry(read_entry(json))), json);
    }
}

TEST(EntryState, IsReadAsItWasWritten) {
    EntryState state{.decided_until = value_or_throw(parse_iso8601("2026-01-01T10:00:00.5Z")),
                     .pending = value_or_throw(parse_iso8601("2026-01-01T10:00:00Z")),
                     .last_run_at = std::nullopt,
                     .total_run_count = 7,
                     .missed_count = 2};
    const auto again = read_entry_state(write_entry_state(state));
    ASSERT_TRUE(again);
    EXPECT_EQ(*again, state);
    EXPECT_FALSE(read_entry_state("{}"));
    EXPECT_FALSE(read_entry_state("rubbish"));
}

}  // namespace
}  // namespace lovage

#include <lovage/beat/timetable.hpp>

#include <chrono>
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lovage/beat/detail/test_entries.hpp>
#include <tests/support/fixture.hpp>

namespace lovage {
namespace {

using testing_support::at;
using testing_support::entry;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

EntryState since(std::string_view text) {
    return {.decided_until = at(text)};
}

TEST(Decide, DoesNothingBeforeTheTime) {
    EXPECT_FALSE(decide(entry(every(60s)), since("2026-01-01T10:00:00Z"),
                        at("2026-01-01T10:00:59Z"), TimeZone{}));
}

TEST(Decide, FiresTheTimeAndNotesItAsPending) {
    const auto decision = decide(entry(every(60s)), since("2026-01-01T10:00:00Z"),
                                 at("2026-01-01T10:01:00.4Z"), TimeZone{});
    ASSERT_TRUE(decision);
    EXPECT_EQ(decision->fire, at("2026-01-01T10:01:00Z"));
    EXPECT_EQ(decision->state.pending, decision->fire);
    EXPECT_EQ(decision->state.decided_until, *decision->fire);
    EXPECT_EQ(decision->state.missed_count, 0U);
}

TEST(Decide, MissedTimesCollapseIntoTheLatest) {
    const auto decision = decide(entry(crontab("*/15 * * * *")), since("2026-01-01T07:00:00Z"),
                                 at("2026-01-01T10:07:00Z"), TimeZone{});
    ASSERT_TRUE(decision);
    EXPECT_EQ(decision->fire, at("2026-01-01T10:00:00Z"));
    EXPECT_EQ(decision->state.missed_count, 11U);
}

TEST(Decide, AllComeOneByOneWhenAskedFor) {
    ScheduleEntry each = entry(crontab("0 * * * *"));
    each.catch_up = CatchUp::all;
    EntryState state = since("2026-01-01T07:00:00Z");
    std::vector<std::string> fired;
    while (const auto decision = decide(each, state, at("2026-01-01T10:07:00Z"), TimeZone{})) {
        fired.push_back(to_iso8601(decision->fire.value()).substr(11, 5));
        state = decision->state;
        state.pending.reset();
    }
    EXPECT_THAT(fired, ElementsAre("08:00", "09:00", "10:00"));
    EXPECT_EQ(state.missed_count, 0U);
}

TEST(Decide, AllMeansThoseOfADay) {
    ScheduleEntry each = entry(crontab("0 */12 * * *"));
    each.catch_up = CatchUp::all;
    const auto decision =
        decide(each, since("2026-01-01T00:00:00Z"), at("2026-01-05T11:00:00Z"), TimeZone{});
    ASSERT_TRUE(decision);
    EXPECT_EQ(decision->fire, at("2026-01-04T12:00:00Z"));
    EXPECT_EQ(decision->state.missed_count, 6U);

    ScheduleEntry monthly = entry(crontab("0 0 1 * *"));
    monthly.catch_up = CatchUp::all;
    const auto none =
        decide(monthly, since("2026-01-02T00:00:00Z"), at("2026-04-05T00:00:00Z"), TimeZone{});
    ASSERT_TRUE(none);
    EXPECT_FALSE(none->fire);
    EXPECT_EQ(none->state.decided_until, at("2026-04-01T00:00:00Z"));
    EXPECT_EQ(none->state.missed_count, 3U);
}

// The vectors with a deadline: what Celery 5.6.3 answers.
TEST(Decide, TheStartingDeadlineIsCelerys) {
    const Json facts = testing_support::load_fixture("celery_schedules.json");
    int seen = 0;
    for (const Json& row : facts.find("due")->as_array()) {
        const Json* deadline = row.find("beat_cron_starting_deadline");
        if (deadline->is_null()) continue;
        ++seen;
        ScheduleEntry daily = entry(crontab("0 4 * * *"));
        daily.starting_deadline = std::chrono::seconds{*deadline->as_int64()};
        const auto decision = decide(daily, since(row.find("last_run_at")->as_string()),
                                     at(row.find("now")->as_string()), TimeZone{});
        ASSERT_TRUE(decision);
        EXPECT_EQ(decision->fire.has_value(), row.find("is_due")->as_bool());
        EXPECT_EQ(decision->state.missed_count, decision->fire ? 0U : 1U);
    }
    EXPECT_EQ(seen, 2);
}

TEST(Decide, WhatIsPendingComesFirstWithItsOwnTime) {
    EntryState state = since("2026-01-01T10:01:00Z");
    state.pending = at("2026-01-01T10:01:00Z");
    const auto decision = decide(entry(every(60s)), state, at("2026-01-01T10:30:00Z"), TimeZone{});
    ASSERT_TRUE(decision);
    EXPECT_EQ(decision->fire, at("2026-01-01T10:01:00Z"));
    EXPECT_EQ(decision->state, state);
}

TEST(Decide, WhatIsPendingIsGivenUpAfterTheDeadline) {
    ScheduleEntry prompt = entry(every(60s));
    prompt.starting_deadline = 30s;
    EntryState state = since("2026-01-01T10:01:00Z");
    state.pending = at("2026-01-01T10:01:00Z");
    const auto decision = decide(prompt, state, at("2026-01-01T10:01:31Z"), TimeZone{});
    ASSERT_TRUE(decision);
    EXPECT_FALSE(decision->fire);
    EXPECT_FALSE(decision->state.pending);
    EXPECT_EQ(decision->state.missed_count, 1U);
}

TEST(Decide, ADisabledEntryRests) {
    ScheduleEntry resting = entry(every(60s));
    resting.enabled = false;
    EXPECT_FALSE(
        decide(resting, since("2026-01-01T10:00:00Z"), at("2026-01-02T10:00:00Z"), TimeZone{}));
}

TEST(Decide, TheTimesOfAPauseDoNotComeLater) {
    ScheduleEntry resumed = entry(every(60s));
    resumed.since = at("2026-01-01T12:00:10Z");
    EntryState state = since("2026-01-01T10:00:00Z");
    EXPECT_FALSE(decide(resumed, state, at("2026-01-01T12:00:20Z"), TimeZone{}));
    EXPECT_EQ(due_time(resumed, state, TimeZone{}), at("2026-01-01T12:01:10Z"));

    state.pending = at("2026-01-01T10:00:00Z");
    const auto decision = decide(resumed, state, at("2026-01-01T12:00:20Z"), TimeZone{});
    ASSERT_TRUE(decision);
    EXPECT_FALSE(decision->fire);
    EXPECT_FALSE(decision->state.pending);
}

// C34: the clock is set back.
TEST(Decide, AClockThatIsSetBackBringsNoTimeAgain) {
    const auto decision = decide(entry(crontab("0 * * * *")), since("2026-01-01T10:00:00Z"),
                                 at("2026-01-01T09:00:00Z"), TimeZone{});
    EXPECT_FALSE(decision);
}

TEST(SilentUntil, IsWhereAClockWasThatWasAhead) {
    const TimePoint now = at("2026-01-01T10:00:00Z");
    EXPECT_FALSE(silent_until(entry(every(60s)), since("2026-01-01T10:01:00Z"), now));
    const EntryState ahead = since("2026-01-01T10:01:00.001Z");
    EXPECT_EQ(silent_until(entry(every(60s)), ahead, now), ahead.decided_until);
    ScheduleEntry resumed = entry(every(60s));
    resumed.since = at("2027-01-01T00:00:00Z");
    EXPECT_EQ(silent_until(resumed, ahead, now), resumed.since);
    resumed.enabled = false;
    EXPECT_FALSE(silent_until(resumed, ahead, now));
}

TEST(FiringId, IsOneForEachTimeOfAnEntry) {
    const TimePoint time = at("2026-01-01T10:00:00Z");
    const std::string id = firing_id("app", "it", time);
    EXPECT_EQ(id, firing_id("app", "it", time));
    EXPECT_NE(id, firing_id("app", "it", time + 1min));
    EXPECT_NE(id, firing_id("app", "other", time));
    EXPECT_NE(id, firing_id("other", "it", time));
    // It is part of what a later version must keep: a time sent by the old one is not sent again.
    EXPECT_EQ(id, "bfbc7d7a-ad24-5f64-8b90-641205f32708");
}

TEST(Timetable, TellsWhatIsDueInOrder) {
    Timetable table{TimeZone{}};
    table.put(entry(every(60s), "minute"), since("2026-01-01T10:00:00Z"), 1);
    table.put(entry(every(30s), "half"), since("2026-01-01T10:00:00Z"), 2);
    EXPECT_EQ(table.next(), at("2026-01-01T10:00:30Z"));
    EXPECT_THAT(table.due(at("2026-01-01T10:00:29Z")), IsEmpty());
    EXPECT_THAT(table.due(at("2026-01-01T10:05:00Z")), ElementsAre("half", "minute"));

    table.update("half", since("2026-01-01T10:05:00Z"), 3);
    EXPECT_THAT(table.due(at("2026-01-01T10:05:00Z")), ElementsAre("minute"));
    EXPECT_EQ(table.find("half")->version, 3U);

    table.postpone("minute", at("2026-01-01T10:05:10Z"));
    EXPECT_EQ(table.next(), at("2026-01-01T10:05:10Z"));
    table.erase("minute");
    EXPECT_EQ(table.next(), at("2026-01-01T10:05:30Z"));
    table.erase("half");
    EXPECT_EQ(table.next(), std::nullopt);
}

TEST(Timetable, APendingTimeIsDueAtOnce) {
    Timetable table{TimeZone{}};
    EntryState state = since("2026-01-01T10:00:00Z");
    state.pending = at("2026-01-01T10:00:00Z");
    table.put(entry(every(60s)), state, 1);
    EXPECT_THAT(table.due(at("2026-01-01T10:00:01Z")), ElementsAre("it"));
}

TEST(Timetable, APendingTimeStaysPostponedWhenItsEntryIsReadAgain) {
    Timetable table{TimeZone{}};
    EntryState state = since("2026-01-01T10:00:00Z");
    state.pending = at("2026-01-01T10:00:00Z");
    table.put(entry(every(60s)), state, 1);
    table.postpone("it", at("2026-01-01T10:00:30Z"));
    table.put(entry(every(60s)), state, 1);
    EXPECT_EQ(table.next(), at("2026-01-01T10:00:30Z"));
}

TEST(Timetable, ADisabledEntryIsKeptAndNeverDue) {
    Timetable table{TimeZone{}};
    ScheduleEntry resting = entry(every(60s));
    resting.enabled = false;
    table.put(resting, since("2026-01-01T10:00:00Z"), 1);
    EXPECT_EQ(table.next(), std::nullopt);
    EXPECT_NE(table.find("it"), nullptr);
    table.put(entry(every(60s)), since("2026-01-01T10:00:00Z"), 1);
    EXPECT_EQ(table.next(), at("2026-01-01T10:01:00Z"));
}

}  // namespace
}  // namespace lovage

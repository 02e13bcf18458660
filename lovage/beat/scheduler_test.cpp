#include <lovage/beat/scheduler.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lovage/beat/detail/scheduler_fixture.hpp>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing_support::at;
using testing_support::entry;
using testing_support::SchedulerTest;

TEST_F(SchedulerTest, SendsEachTimeAndRemembersIt) {
    const auto beat = start({entry(every(60s)), entry(crontab("*/2 * * * *"), "even")});
    const auto wait = tick(*beat);
    ASSERT_TRUE(wait);
    EXPECT_LE(*wait, 5s);
    EXPECT_THAT(ledger_.order, IsEmpty());
    for (int minute = 0; minute < 4; ++minute) {
        advance(1min);
        ASSERT_TRUE(tick(*beat));
    }
    EXPECT_THAT(ledger_.order, ElementsAre("it@10:01", "even@10:02", "it@10:02", "it@10:03",
                                           "even@10:04", "it@10:04"));
    const EntryState state = stored("it");
    EXPECT_EQ(state.total_run_count, 4U);
    EXPECT_EQ(state.last_run_at, now_.wall);
    EXPECT_FALSE(state.pending);
}

TEST_F(SchedulerTest, ComesAgainWhenSomethingIsDue) {
    const auto beat = start({entry(every(2s))});
    EXPECT_EQ(tick(*beat).value(), 2s);
    advance(1500ms);
    EXPECT_EQ(tick(*beat).value(), 500ms);
}

TEST_F(SchedulerTest, ATaskRanLastWhenItsSendHadEnded) {
    const auto beat = start({entry(every(60s))});
    const auto other = start({});
    ASSERT_TRUE(tick(*beat));
    advance(60s);
    ledger_.meanwhile = [this, &other](Firing) { return pass_time(this, other.get()); };
    ASSERT_TRUE(tick(*beat));
    EXPECT_EQ(stored("it").last_run_at, at("2026-01-01T10:01:02Z"));
}

// The broker took it, and the store was away when it was to be noted.
TEST_F(SchedulerTest, ATaskRanWhenItWasSentAndNotWhenThatWasNoted) {
    const auto beat = start({entry(every(60s))});
    ASSERT_TRUE(tick(*beat));
    advance(60s);
    ledger_.meanwhile = [&beat](Firing) { return lose_store(&beat->store); };
    EXPECT_FALSE(tick(*beat));
    beat->store.away = false;
    advance(2s);
    ASSERT_TRUE(tick(*beat));
    EXPECT_EQ(ledger_.attempts, 1);
    EXPECT_EQ(stored("it").last_run_at, at("2026-01-01T10:01:00Z"));
    EXPECT_EQ(stored("it").total_run_count, 1U);
}

TEST_F(SchedulerTest, ATimeWhoseSendFailedIsTriedAgain) {
    const auto beat = start({entry(every(60s))});
    ASSERT_TRUE(tick(*beat));
    advance(60s);
    ledger_.refuses = Error{Errc::disconnected, "away"};
    ASSERT_TRUE(tick(*beat));
    EXPECT_THAT(ledger_.order, IsEmpty());
    ledger_.refuses.reset();
    advance(1s);
    ASSERT_TRUE(tick(*beat));
    EXPECT_THAT(ledger_.order, ElementsAre("it@10:01"));
    EXPECT_EQ(stored("it").total_run_count, 1U);
}

// Entries are read again every five seconds.
TEST_F(SchedulerTest, ATimeWhoseSendFailsIsTriedLessAndLessOften) {
    const auto beat = start({entry(every(10min))});
    ASSERT_TRUE(tick(*beat));
    advance(10min);
    ledger_.refuses = Error{Errc::disconnected, "away"};
    std::vector<int> tries;
    for (int second = 0; second < 100; ++second) {
        const int before = ledger_.attempts;
        ASSERT_TRUE(tick(*beat));
        if (ledger_.attempts > before) tries.push_back(second);
        advance(1s);
    }
    EXPECT_THAT(tries, ElementsAre(0, 1, 3, 7, 15, 31, 61, 91));
}

TEST_F(SchedulerTest, WhoIsToStopSendsOneMoreAtMost) {
    const auto beat = start({entry(every(60s), "a"), entry(every(60s), "b")});
    ASSERT_TRUE(tick(*beat));
    advance(60s);
    ledger_.meanwhile = [this](Firing) { return ask_to_stop(this); };
    ASSERT_TRUE(tick(*beat));
    EXPECT_THAT(ledger_.order, ElementsAre("a@10:01"));
    EXPECT_EQ(stored("a").total_run_count, 1U);
}

TEST_F(SchedulerTest, ASendWithoutAnAnswerIsMadeAgainUnderTheSameId) {
    const auto beat = start({entry(every(60s))});
    ASSERT_TRUE(tick(*beat));
    advance(60s);
    ledger_.loses_answers = true;
    ASSERT_TRUE(tick(*beat));
    ledger_.loses_answers = false;
    advance(1s);
    ASSERT_TRUE(tick(*beat));
    EXPECT_THAT(ledger_.order, ElementsAre("it@10:01"));
    EXPECT_EQ(ledger_.duplicates(), 1);
    EXPECT_EQ(stored("it").total_run_count, 1U);
}

TEST_F(SchedulerTest, WhatCanNeverBeSentDoesNotKeepTheEntryFromItsNextTime) {
    const auto beat = start({entry(every(60s))});
    ASSERT_TRUE(tick(*beat));
    advance(60s);
    ledger_.refuses = Error{Errc::too_large, "16 MiB"};
    ASSERT_TRUE(tick(*beat));
    EXPECT_FALSE(stored("it").pending);
    EXPECT_EQ(stored("it").missed_count, 1U);
    ledger_.refuses.reset();
    advance(60s);
    ASSERT_TRUE(tick(*beat));
    EXPECT_THAT(ledger_.order, ElementsAre("it@10:02"));
}

TEST_F(SchedulerTest, NothingIsSentThatCannotBeNotedFirst) {
    const auto beat = start({entry(every(60s))});
    ASSERT_TRUE(tick(*beat));
    advance(60s);
    beat->store.away = true;
    EXPECT_FALSE(tick(*beat));
    EXPECT_THAT(ledger_.order, IsEmpty());
    beat->store.away = false;
    ASSERT_TRUE(tick(*beat));
    EXPECT_THAT(ledger_.order, ElementsAre("it@10:01"));
    EXPECT_EQ(ledger_.duplicates(), 0);
}

TEST_F(SchedulerTest, MissedTimesCollapseAndAreCounted) {
    {
        const auto beat = start({entry(every(60s))});
        ASSERT_TRUE(tick(*beat));
    }
    go_to("2026-01-01T12:00:30Z");
    const auto beat = start({entry(every(60s))});
    ASSERT_TRUE(tick(*beat));
    EXPECT_THAT(ledger_.order, ElementsAre("it@12:00"));
    EXPECT_EQ(stored("it").missed_count, 119U);
}

// C34
TEST_F(SchedulerTest, AWallClockThatJumpsBringsNoTimeTwice) {
    const auto beat = start({entry(crontab("*/10 * * * *"))});
    ASSERT_TRUE(tick(*beat));
    now_.wall += 1h;
    ASSERT_TRUE(tick(*beat));
    EXPECT_THAT(ledger_.order, ElementsAre("it@11:00"));
    now_.wall -= 1h;
    for (int i = 0; i < 12; ++i) {
        advance(5min);
        ASSERT_TRUE(tick(*beat));
        EXPECT_TRUE(beat->scheduler.leads());
    }
    EXPECT_THAT(ledger_.order, ElementsAre("it@11:00"));
    advance(10min);
    ASSERT_TRUE(tick(*beat));
    EXPECT_THAT(ledger_.order, ElementsAre("it@11:00", "it@11:10"));
    EXPECT_EQ(ledger_.duplicates(), 0);
}

TEST_F(SchedulerTest, MetricsTellOfLeadingOfTimesAndOfLag) {
    const std::string sent = R"(entry="measured",outcome="sent",)";
    const std::string missed = R"(entry="measured",outcome="missed",)";
    const double lags = metric("lovage_beat_lag_seconds_count");
    const double late = metric("lovage_beat_lag_seconds_sum");
    auto beat = start({entry(every(60s), "measured"), entry(every(1h), "other")});
    ASSERT_TRUE(tick(*beat));
    EXPECT_EQ(metric("lovage_beat_leader"), 1);
    EXPECT_EQ(metric("lovage_beat_entries"), 2);
    advance(63s);
    ASSERT_TRUE(tick(*beat));
    advance(3min);
    ASSERT_TRUE(tick(*beat));
    EXPECT_EQ(metric("lovage_beat_times_total", sent), 2);
    EXPECT_EQ(metric("lovage_beat_times_total", missed), 2);
    EXPECT_EQ(metric("lovage_beat_lag_seconds_count") - lags, 2);
    EXPECT_EQ(metric("lovage_beat_lag_seconds_sum") - late, 6);

    loop_.run_blocking(beat->scheduler.resign(Deadline::in(5s)));
    EXPECT_EQ(metric("lovage_beat_leader"), 0);
    EXPECT_EQ(metric("lovage_beat_entries"), 0);
}

// Two beats of one schedule are two processes: here the last word is the one that counts.
TEST_F(SchedulerTest, WhoLosesTheLeadHasNoEntries) {
    const auto first = start({entry(every(60s))});
    const auto second = start({});
    ASSERT_TRUE(tick(*first));
    boot_ += 16s;
    ASSERT_TRUE(tick(*second));
    EXPECT_EQ(metric("lovage_beat_leader"), 1);
    advance(6s);
    ASSERT_TRUE(tick(*first));
    EXPECT_FALSE(first->scheduler.leads());
    EXPECT_EQ(metric("lovage_beat_leader"), 0);
    EXPECT_EQ(metric("lovage_beat_entries"), 0);
}

TEST_F(SchedulerTest, AnEntryThatAClockAheadHasSilencedIsToldOnce) {
    write(ScheduleKeys{"app"}.states() + "it",
          write_entry_state({.decided_until = at("2027-01-01T10:00:00Z")}));
    const auto beat = start({entry(every(60s)), entry(every(60s), "other")});
    log::configure({.level = log::Level::warning, .background = false});
    testing::internal::CaptureStderr();
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(tick(*beat));
        advance(5s);
    }
    log::configure({.level = log::Level::off});
    const std::string lines = testing::internal::GetCapturedStderr();
    EXPECT_EQ(std::ranges::count(lines, '\n'), 1) << lines;
    EXPECT_THAT(lines, testing::HasSubstr("'it' does not come before 2027-01-01T10:00:00"));
}

}  // namespace
}  // namespace lovage

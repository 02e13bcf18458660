#include <lovage/beat/scheduler.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
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
using testing_support::Fate;
using testing_support::MortalStore;
using testing_support::SchedulerTest;

TEST_F(SchedulerTest, EntriesOfTheStateStoreComeAndGo) {
    const ScheduleKeys keys{"app"};
    const auto beat = start({entry(every(60s))});
    ASSERT_TRUE(tick(*beat));
    write(keys.entries() + "added", R"({"task": "other", "schedule": 20})");
    advance(5s);
    ASSERT_TRUE(tick(*beat));
    advance(20s);
    ASSERT_TRUE(tick(*beat));
    EXPECT_THAT(ledger_.order, ElementsAre("added@10:00"));

    write(keys.entries() + "added", R"({"task": "other", "schedule": 20, "enabled": false})");
    write(keys.entries() + "it", R"({"enabled": false})");
    advance(5s);
    ASSERT_TRUE(tick(*beat));
    advance(5min);
    ASSERT_TRUE(tick(*beat));
    EXPECT_THAT(ledger_.order, SizeIs(1));
    EXPECT_FALSE(beat->scheduler.timetable().find("it")->entry.enabled);
}

TEST_F(SchedulerTest, AnEntryOfTheProgramIsPausedAndResumed) {
    ScheduleStore schedule{*store_, ScheduleKeys{"app"}, {entry(every(60s))}};
    const auto beat = start({entry(every(60s))});
    ASSERT_TRUE(tick(*beat));
    ASSERT_TRUE(loop_.run_blocking(schedule.pause("it", Deadline::in(5s))));
    advance(5s);
    ASSERT_TRUE(tick(*beat));
    advance(10min);
    ASSERT_TRUE(tick(*beat));
    ASSERT_TRUE(loop_.run_blocking(schedule.resume("it", now_.wall, Deadline::in(5s))));
    advance(5s);
    ASSERT_TRUE(tick(*beat));
    EXPECT_THAT(ledger_.order, IsEmpty());
    advance(55s);
    ASSERT_TRUE(tick(*beat));
    EXPECT_THAT(ledger_.order, ElementsAre("it@10:11"));
    EXPECT_EQ(stored("it").missed_count, 0U);
    EXPECT_EQ(loop_.run_blocking(schedule.pause("no", Deadline::in(5s))).error().code,
              Errc::not_found);
}

TEST_F(SchedulerTest, AnAddedEntryIsPausedAndResumed) {
    ScheduleStore schedule{*store_, ScheduleKeys{"app"}, {}};
    ASSERT_TRUE(loop_.run_blocking(schedule.put(entry(every(60s), "added"), Deadline::in(5s))));
    const auto beat = start({});
    ASSERT_TRUE(tick(*beat));
    ASSERT_TRUE(loop_.run_blocking(schedule.pause("added", Deadline::in(5s))));
    advance(5s);
    ASSERT_TRUE(tick(*beat));
    advance(10min);
    ASSERT_TRUE(loop_.run_blocking(schedule.resume("added", now_.wall, Deadline::in(5s))));
    advance(5s);
    ASSERT_TRUE(tick(*beat));
    EXPECT_THAT(ledger_.order, IsEmpty());
    advance(55s);
    ASSERT_TRUE(tick(*beat));
    EXPECT_THAT(ledger_.order, ElementsAre("added@10:11"));
    EXPECT_EQ(stored("added").missed_count, 0U);
}

TEST_F(SchedulerTest, APauseDoesNotUndoWhatAnotherChangesMeanwhile) {
    Fate fate;
    MortalStore store{*store_, fate};
    ScheduleStore schedule{store, ScheduleKeys{"app"}, {}};
    ASSERT_TRUE(loop_.run_blocking(schedule.put(entry(every(60s), "added"), Deadline::in(5s))));
    ScheduleStore others{*store_, ScheduleKeys{"app"}, {}};
    store.after_get = [&others] { return change_entry(&others, entry(every(20s), "added")); };
    const auto paused = loop_.run_blocking(schedule.pause("added", Deadline::in(5s)));
    ASSERT_FALSE(paused);
    EXPECT_EQ(paused.error().code, Errc::conflict);
    EXPECT_THAT(paused.error().detail, testing::HasSubstr("somebody else changed 'added'"));
    const auto entries = loop_.run_blocking(schedule.entries(Deadline::in(5s)));
    EXPECT_EQ(entries.value().at("added").schedule, Schedule{every(20s)});
    ASSERT_TRUE(loop_.run_blocking(schedule.pause("added", Deadline::in(5s))));
}

TEST_F(SchedulerTest, TheDeadlineOfCrontabsHoldsForAddedEntries) {
    ScheduleEntry strict = entry(crontab("0 4 * * *"), "strict");
    strict.starting_deadline = 5s;
    ScheduleStore schedule{
        *store_, ScheduleKeys{"app"}, {entry(crontab("0 5 * * *"), "program")}, 90s};
    for (const ScheduleEntry& added :
         {entry(crontab("0 4 * * *"), "added"), entry(every(60s), "interval"), std::move(strict)}) {
        ASSERT_TRUE(loop_.run_blocking(schedule.put(added, Deadline::in(5s))));
    }
    const auto entries = loop_.run_blocking(schedule.entries(Deadline::in(5s)));
    ASSERT_TRUE(entries);
    EXPECT_EQ(entries->at("added").starting_deadline, 90s);
    EXPECT_EQ(entries->at("program").starting_deadline, 90s);
    EXPECT_EQ(entries->at("interval").starting_deadline, std::nullopt);
    EXPECT_EQ(entries->at("strict").starting_deadline, 5s);
}

TEST_F(SchedulerTest, AnAddedEntryIsChangedAndRemoved) {
    ScheduleStore schedule{*store_, ScheduleKeys{"app"}, {entry(every(60s))}};
    EXPECT_EQ(loop_.run_blocking(schedule.put(entry(every(9s), "new"), Deadline::in(5s))), false);
    EXPECT_EQ(loop_.run_blocking(schedule.put(entry(every(7s), "new"), Deadline::in(5s))), true);
    const auto entries = loop_.run_blocking(schedule.entries(Deadline::in(5s)));
    ASSERT_TRUE(entries);
    EXPECT_THAT(*entries, SizeIs(2));
    EXPECT_EQ(entries->at("new").schedule, Schedule{every(7s)});
    ASSERT_TRUE(loop_.run_blocking(schedule.remove("new", Deadline::in(5s))));
    EXPECT_THAT(loop_.run_blocking(schedule.remove("it", Deadline::in(5s))).error().detail,
                testing::HasSubstr("only the program can"));
}

TEST_F(SchedulerTest, ABadEntryOfTheStateStoreHarmsNoOther) {
    write(ScheduleKeys{"app"}.entries() + "bad", "rubbish");
    write(ScheduleKeys{"app"}.states() + "it", "rubbish");
    const auto beat = start({entry(every(60s))});
    ASSERT_TRUE(tick(*beat));
    advance(60s);
    ASSERT_TRUE(tick(*beat));
    EXPECT_THAT(ledger_.order, ElementsAre("it@10:01"));
}

TEST_F(SchedulerTest, ABadEntryIsToldOnceUntilItChanges) {
    const std::string key = ScheduleKeys{"app"}.entries() + "bad";
    write(key, "rubbish");
    const auto beat = start({entry(every(60s))});
    log::configure({.level = log::Level::warning, .background = false});
    testing::internal::CaptureStderr();
    const auto reload = [&] {
        for (int i = 0; i < 3; ++i) {
            ASSERT_TRUE(tick(*beat));
            advance(5s);
        }
    };
    reload();
    write(key, R"({"task": "task"})");
    reload();
    write(key, R"({"task": "task", "schedule": 60})");
    reload();
    log::configure({.level = log::Level::off});
    const std::string lines = testing::internal::GetCapturedStderr();
    EXPECT_EQ(std::ranges::count(lines, '\n'), 2) << lines;
    EXPECT_THAT(lines, testing::HasSubstr("the state store's entry 'bad' cannot be used"));
}

TEST_F(SchedulerTest, OneEntryIsLookedUpByName) {
    ScheduleStore schedule{*store_, ScheduleKeys{"app"}, {entry(crontab("0 4 * * *"))}, 90s};
    const auto find = [&](const std::string& name) {
        return loop_.run_blocking(schedule.entry(name, Deadline::in(5s)));
    };
    EXPECT_EQ(find("it").value().starting_deadline, 90s);
    ASSERT_TRUE(loop_.run_blocking(schedule.pause("it", Deadline::in(5s))));
    EXPECT_FALSE(find("it").value().enabled);
    ASSERT_TRUE(loop_.run_blocking(schedule.put(entry(every(9s), "new"), Deadline::in(5s))));
    EXPECT_EQ(find("new").value().schedule, Schedule{every(9s)});
    EXPECT_EQ(find("no").error().code, Errc::not_found);
    write(ScheduleKeys{"app"}.entries() + "bad", "rubbish");
    EXPECT_EQ(find("bad").error().code, Errc::invalid_argument);
}

// A newer version of the program has written it, and an older one leads for a while.
TEST_F(SchedulerTest, AnEntryThatCannotBeReadKeepsWhatIsRemembered) {
    const std::string key = ScheduleKeys{"app"}.entries() + "added";
    const std::string readable = R"({"task": "task", "schedule": 60})";
    const std::string unreadable = R"({"task": "task", "schedule": 60, "newer": true})";
    write(key, readable);
    auto beat = start({});
    ASSERT_TRUE(tick(*beat));
    advance(60s);
    ledger_.refuses = Error{Errc::disconnected, "away"};
    ASSERT_TRUE(tick(*beat));
    const EntryState pending = stored("added");
    ASSERT_TRUE(pending.pending);

    write(key, unreadable);
    advance(5s);
    ASSERT_TRUE(tick(*beat));
    EXPECT_EQ(beat->scheduler.timetable().find("added"), nullptr);
    EXPECT_EQ(stored("added"), pending);
    loop_.run_blocking(beat->scheduler.resign(Deadline::in(5s)));
    beat = start({});
    ASSERT_TRUE(tick(*beat));
    EXPECT_EQ(stored("added"), pending);

    write(key, readable);
    ledger_.refuses.reset();
    advance(5s);
    ASSERT_TRUE(tick(*beat));
    EXPECT_THAT(ledger_.order, ElementsAre("added@10:01"));
}

TEST_F(SchedulerTest, AnEntryThatWasGoneIsNewWhenItComesBack) {
    for (const auto& entries : {std::vector{entry(every(60s))}, std::vector<ScheduleEntry>{}}) {
        const auto beat = start(entries);
        ASSERT_TRUE(tick(*beat));
        loop_.run_blocking(beat->scheduler.resign(Deadline::in(5s)));
    }
    go_to("2026-02-01T00:00:00Z");
    const auto beat = start({entry(every(60s))});
    ASSERT_TRUE(tick(*beat));
    EXPECT_THAT(ledger_.order, IsEmpty());
    EXPECT_EQ(stored("it").decided_until, now_.wall);
}

TEST_F(SchedulerTest, AChangedScheduleKeepsWhatIsRemembered) {
    {
        const auto beat = start({entry(every(60s))});
        ASSERT_TRUE(tick(*beat));
        advance(60s);
        ASSERT_TRUE(tick(*beat));
    }
    advance(20s);
    const auto beat = start({entry(crontab("30 * * * *"))});
    ASSERT_TRUE(tick(*beat));
    EXPECT_EQ(stored("it").total_run_count, 1U);
    EXPECT_EQ(beat->scheduler.timetable().next(), at("2026-01-01T10:30:00Z"));
}

}  // namespace
}  // namespace lovage

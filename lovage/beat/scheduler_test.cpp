#include <lovage/beat/scheduler.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lovage/beat/detail/test_entries.hpp>
#include <lovage/beat/schedule_json.hpp>
#include <lovage/results/memory/memory_state_store.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/loop.hpp>

namespace lovage {
namespace {

using testing_support::at;
using testing_support::entry;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

/// What a killed process does: nothing any more.
struct Killed : std::runtime_error {
    Killed() : std::runtime_error{"killed"} {}
};

/// Where a process is killed: before or after one of its next steps, which are writes to the state
/// store and sends.
class Fate {
public:
    void kill_before(int step) { left_ = 2 * step; }
    void kill_after(int step) { left_ = 2 * step + 1; }
    void spare() { left_ = -1; }
    void pass() {
        if (left_ >= 0 && left_-- == 0) throw Killed{};
    }

private:
    int left_ = -1;
};

/// The connection of one process, which may be killed at a write.
class MortalStore final : public StateStore {
public:
    MortalStore(StateStore& store, Fate& fate) : store_{store}, fate_{fate} {}

    Awaitable<Result<std::optional<StateEntry>>> get(std::string key, Deadline deadline) override {
        auto found = co_await store_.get(std::move(key), deadline);
        if (const auto meddle = std::exchange(after_get, nullptr)) co_await meddle();
        co_return found;
    }
    Awaitable<Result<std::uint64_t>> compare_and_set(std::string key, std::uint64_t expected,
                                                     std::string value,
                                                     std::optional<std::chrono::milliseconds> ttl,
                                                     Deadline deadline) override {
        fate_.pass();
        if (away) co_return fail(Errc::disconnected, "away");
        auto written = co_await store_.compare_and_set(std::move(key), expected, std::move(value),
                                                       ttl, deadline);
        fate_.pass();
        co_return written;
    }
    Awaitable<Result<void>> compare_and_erase(std::string key, std::uint64_t expected,
                                              Deadline deadline) override {
        return store_.compare_and_erase(std::move(key), expected, deadline);
    }
    Awaitable<Result<std::vector<std::pair<std::string, StateEntry>>>> list(
        std::string prefix, std::size_t limit, Deadline deadline) override {
        return store_.list(std::move(prefix), limit, deadline);
    }

    bool away = false;
    /// What another process does, once, right after something was read.
    std::function<Awaitable<void>()> after_get;

private:
    StateStore& store_;
    Fate& fate_;
};

/// Messages that reached the broker: how often each id came.
struct Ledger {
    std::map<std::string, int> messages;
    std::vector<std::string> order;  ///< "entry@10:00"
    int attempts = 0;
    std::optional<Error> refuses;
    bool loses_answers = false;
    /// What happens while a message is on its way, but not while it happens.
    std::function<Awaitable<void>(Firing)> meanwhile;

    [[nodiscard]] int duplicates() const {
        int count = 0;
        for (const auto& [id, times] : messages) count += times - 1;
        return count;
    }
};

Awaitable<Result<void>> deliver(Ledger* ledger, Fate* fate, Firing firing) {
    fate->pass();
    ++ledger->attempts;
    if (ledger->refuses) co_return std::unexpected{*ledger->refuses};
    if (ledger->messages[firing.task_id]++ == 0) {
        ledger->order.push_back(firing.entry.name + '@' + to_iso8601(firing.time).substr(11, 5));
    }
    if (auto meanwhile = std::exchange(ledger->meanwhile, nullptr)) {
        co_await meanwhile(firing);
        ledger->meanwhile = std::move(meanwhile);
    }
    fate->pass();
    if (ledger->loses_answers) co_return fail(Errc::unknown_outcome, "no answer");
    co_return Result<void>{};
}

/// A state store, a broker's ledger and a clock that several beats share.
class SchedulerTest : public testing::Test {
protected:
    /// One process with a beat.
    struct Beat {
        Fate fate;
        MortalStore store;
        Scheduler scheduler;
        Beat(SchedulerTest& test, std::vector<ScheduleEntry> entries, std::string holder)
            : store{*test.store_, fate},
              scheduler{store,
                        std::move(entries),
                        {.schedule = "app",
                         .holder = std::move(holder),
                         .zone = {},
                         .now = [&test] { return test.now_; },
                         .stopping = [&test] { return test.stopping_; }},
                        [this, &test](Firing firing) {
                            return deliver(&test.ledger_, &fate, std::move(firing));
                        }} {}
    };

    SchedulerTest() {
        log::configure({.level = log::Level::off});
        loop_.start();
        MemoryStateOptions options;
        options.since_boot = [this] { return boot_; };
        store_ = make_memory_state_store(loop_.executor(), "memory://scheduler-test", options);
    }
    ~SchedulerTest() override { loop_.stop_and_join(); }

    std::unique_ptr<Beat> start(std::vector<ScheduleEntry> entries) {
        return std::make_unique<Beat>(*this, std::move(entries),
                                      "beat-" + std::to_string(++started_));
    }
    void advance(std::chrono::milliseconds by) {
        now_.wall += by;
        now_.steady += by;
        boot_ += by;
    }
    void go_to(std::string_view when) {
        advance(std::chrono::floor<std::chrono::milliseconds>(at(when) - now_.wall));
    }
    Result<std::chrono::microseconds> tick(Beat& beat) {
        return loop_.run_blocking(beat.scheduler.tick());
    }
    /// Two seconds pass, and `other` looks whether it is to lead.
    static Awaitable<void> pass_time(SchedulerTest* test, Beat* other) {
        test->advance(2s);
        (void)co_await other->scheduler.tick();
    }
    static Awaitable<void> lose_store(MortalStore* store) {
        store->away = true;
        co_return;
    }
    static Awaitable<void> change_entry(ScheduleStore* schedule, ScheduleEntry entry) {
        (void)co_await schedule->put(std::move(entry), Deadline::in(5s));
    }
    static Awaitable<void> ask_to_stop(SchedulerTest* test) {
        test->stopping_ = true;
        co_return;
    }
    /// Another beat notes a pending time as sent.
    static Awaitable<void> note_as_sent(StateStore* store, std::string key) {
        const auto found = value_or_throw(co_await store->get(key, Deadline::in(5s)));
        EntryState state = value_or_throw(read_entry_state(found.value().value));
        state.pending.reset();
        value_or_throw(co_await store->compare_and_set(
            key, found.value().version, write_entry_state(state), std::nullopt, Deadline::in(5s)));
    }
    /// False: it was killed.
    bool survives(Beat& beat) {
        try {
            (void)tick(beat);
            return true;
        } catch (const Killed&) {
            return false;
        }
    }
    EntryState stored(const std::string& name) {
        const auto found =
            loop_.run_blocking(store_->get(ScheduleKeys{"app"}.states() + name, Deadline::in(5s)));
        return value_or_throw(read_entry_state(found.value().value().value));
    }
    void write(const std::string& key, const std::string& value) {
        const auto found = loop_.run_blocking(store_->get(key, Deadline::in(5s)));
        const std::uint64_t version = found->has_value() ? (*found)->version : 0;
        ASSERT_TRUE(loop_.run_blocking(
            store_->compare_and_set(key, version, value, std::nullopt, Deadline::in(5s))));
    }

    Loop loop_{"scheduler-test"};
    std::chrono::milliseconds boot_{1h};
    BeatMoment now_{at("2026-01-01T10:00:00Z"), Deadline::Clock::time_point{1h}};
    std::unique_ptr<StateStore> store_;
    Ledger ledger_;
    int started_ = 0;
    bool stopping_ = false;
};

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

TEST_F(SchedulerTest, OnlyOneLeads) {
    const auto first = start({entry(every(60s))});
    const auto second = start({entry(every(60s))});
    ASSERT_TRUE(tick(*first));
    ASSERT_TRUE(tick(*second));
    EXPECT_TRUE(first->scheduler.leads());
    EXPECT_FALSE(second->scheduler.leads());
    for (int i = 0; i < 60; ++i) {
        advance(5s);
        ASSERT_TRUE(tick(*first));
        ASSERT_TRUE(tick(*second));
        EXPECT_FALSE(second->scheduler.leads());
    }
    EXPECT_THAT(ledger_.order, SizeIs(5));
    EXPECT_EQ(ledger_.duplicates(), 0);
}

TEST_F(SchedulerTest, AnotherLeadsWhenTheLeaderIsSilent) {
    const auto first = start({entry(every(60s))});
    const auto second = start({entry(every(60s))});
    ASSERT_TRUE(tick(*first));
    ASSERT_TRUE(tick(*second));
    advance(16s);
    ASSERT_TRUE(tick(*second));
    EXPECT_TRUE(second->scheduler.leads());
    ASSERT_TRUE(tick(*first));
    EXPECT_FALSE(first->scheduler.leads());
}

TEST_F(SchedulerTest, WhoEndsInOrderLetsAnotherLeadAtOnce) {
    const auto first = start({entry(every(60s))});
    const auto second = start({entry(every(60s))});
    ASSERT_TRUE(tick(*first));
    loop_.run_blocking(first->scheduler.resign(Deadline::in(5s)));
    ASSERT_TRUE(tick(*second));
    EXPECT_TRUE(second->scheduler.leads());
}

// C44: what a leader that was stopped for too long sends is what its successor sends.
TEST_F(SchedulerTest, TwoThatBothBelieveToLeadSendEachTimeOnce) {
    const auto first = start({entry(every(2s))});
    const auto second = start({entry(every(2s))});
    ASSERT_TRUE(tick(*first));
    boot_ += 16s;  // the lease ends in the store, and the first one has not noticed
    ASSERT_TRUE(tick(*second));
    ASSERT_TRUE(first->scheduler.leads() && second->scheduler.leads());
    now_.wall += 2s;
    ASSERT_TRUE(tick(*first));
    ASSERT_TRUE(tick(*second));
    now_.wall += 2s;
    ASSERT_TRUE(tick(*second));
    ASSERT_TRUE(tick(*first));
    EXPECT_THAT(ledger_.order, SizeIs(2));
    EXPECT_EQ(ledger_.duplicates(), 0);
}

// What is due together takes longer than the lease, and a follower watches.
TEST_F(SchedulerTest, ALeaderWithMuchToSendKeepsItsLease) {
    std::vector<ScheduleEntry> entries;
    for (char name = 'a'; name <= 'l'; ++name) {
        entries.push_back(entry(crontab("* * * * *"), {name}));
    }
    const auto leader = start(entries);
    const auto follower = start(entries);
    ASSERT_TRUE(tick(*leader));
    ASSERT_TRUE(tick(*follower));
    for (int i = 0; i < 12; ++i) {
        advance(5s);
        ASSERT_TRUE(tick(*follower));
        if (i == 11) {
            ledger_.meanwhile = [this, &follower](Firing) {
                return pass_time(this, follower.get());
            };
        }
        ASSERT_TRUE(tick(*leader));
    }
    EXPECT_THAT(ledger_.order, testing::Not(SizeIs(entries.size())));
    while (tick(*leader).value() == 0s) {
    }
    EXPECT_THAT(ledger_.order, SizeIs(entries.size()));
    EXPECT_EQ(ledger_.duplicates(), 0);
    EXPECT_TRUE(leader->scheduler.leads());
    EXPECT_FALSE(follower->scheduler.leads());
}

// What a beat knows of a pending time may be old: the one that claimed it still worked.
TEST_F(SchedulerTest, ATimeThatAnotherBeatHasNotedIsNotSentAgain) {
    const ScheduleKeys keys{"app"};
    for (const char* name : {"a", "b"}) {
        const EntryState state{.decided_until = now_.wall, .pending = now_.wall};
        write(keys.states() + name, write_entry_state(state));
    }
    const auto beat = start({entry(every(60s), "a"), entry(every(60s), "b")});
    ledger_.meanwhile = [this, key = keys.states() + "b"](Firing) {
        return note_as_sent(store_.get(), key);
    };
    ASSERT_TRUE(tick(*beat));
    ledger_.meanwhile = nullptr;
    ASSERT_TRUE(tick(*beat));
    EXPECT_THAT(ledger_.order, ElementsAre("a@10:00"));
}

// C45 and the issue's test: whoever leads is killed at the firing moment, 200 times, at every step
// of it in turn.
TEST_F(SchedulerTest, ALeaderKilledAtTheFiringMomentLosesAndDoublesNothing) {
    const std::vector entries{entry(crontab("* * * * *"))};
    advance(16s);
    auto leader = start(entries);
    auto follower = start(entries);
    ASSERT_TRUE(tick(*leader));
    ASSERT_TRUE(tick(*follower));
    constexpr int kKills = 200;
    // The steps of a firing: the lease is renewed, the time is claimed, sent, noted.
    constexpr int kSteps = 4;
    int killed = 0;
    int sent_unnoted = 0;
    for (int i = 0; i < kKills; ++i) {
        const int step = i / 2 % kSteps;
        const bool after = i % 2 == 1;
        for (int renewal = 0; renewal < 3; ++renewal) {
            advance(11s);
            ASSERT_TRUE(tick(*leader));
            ASSERT_TRUE(tick(*follower));
        }
        advance(11s);
        after ? leader->fate.kill_after(step) : leader->fate.kill_before(step);
        if (!survives(*leader)) {
            ++killed;
            const bool was_sent = (step == 2 && after) || (step == 3 && !after);
            if (was_sent) ++sent_unnoted;
            leader = start(entries);  // restarted, it follows
        }
        // The lease ends, and the other one takes over.
        advance(16s);
        ASSERT_TRUE(tick(*follower));
        ASSERT_TRUE(follower->scheduler.leads());
        ASSERT_TRUE(tick(*leader));
        ASSERT_FALSE(leader->scheduler.leads());
        std::swap(leader, follower);
        ASSERT_THAT(ledger_.messages, SizeIs(i + 1)) << "killed at step " << step << after;
    }
    EXPECT_EQ(killed, kKills);
    EXPECT_THAT(ledger_.order, SizeIs(kKills));
    EXPECT_THAT(std::set<std::string>(ledger_.order.begin(), ledger_.order.end()), SizeIs(kKills));
    // What was sent and not noted is sent again, under the same id: one logical task.
    EXPECT_EQ(ledger_.duplicates(), sent_unnoted);
    EXPECT_EQ(stored("it").total_run_count, static_cast<std::uint64_t>(kKills));
    EXPECT_EQ(stored("it").missed_count, 0U);
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

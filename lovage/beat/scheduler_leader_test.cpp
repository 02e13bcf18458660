#include <lovage/beat/scheduler.hpp>

#include <cstdint>
#include <set>
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
using testing_support::SchedulerTest;

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

// Each new entry costs a write; all of them take longer than the lease.
TEST_F(SchedulerTest, ALeaderWithMuchToLoadKeepsItsLease) {
    std::vector<ScheduleEntry> entries;
    for (char name = 'a'; name <= 'l'; ++name) entries.push_back(entry(every(60s), {name}));
    const auto leader = start(entries);
    const auto follower = start(entries);
    leader->store.after_write = [this, &follower] { return pass_time(this, follower.get()); };
    for (int i = 0; i < 20; ++i) {
        ASSERT_TRUE(tick(*leader));
        ASSERT_TRUE(leader->scheduler.leads());
        ASSERT_FALSE(follower->scheduler.leads());
    }
    EXPECT_THAT(leader->scheduler.timetable().rows(), SizeIs(entries.size()));
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

// C45 and the test: whoever leads is killed at the firing moment, 200 times, at every step
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

}  // namespace
}  // namespace lovage

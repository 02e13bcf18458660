#include <lovage/worker/progress_watch.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

/// A worker whose watch has 60 seconds of patience, and the broker's queue beside it.
class Watched : public testing::Test {
protected:
    /// One interval passes, then the watch looks. Returns what it wants done.
    Repair tick() { return tick(watch_.interval()); }
    Repair tick(ProgressWatch::Clock::duration later) {
        now_ += later;
        if (!watch_.wants_look(worker_)) return Repair::none;
        ++looks_;
        return watch_.looked(worker_, waiting_, now_);
    }
    /// What was wanted in that time, `none` left out.
    std::vector<Repair> over(std::chrono::seconds time) {
        std::vector<Repair> repairs;
        for (const auto end = now_ + time; now_ < end;) {
            if (const Repair repair = tick(); repair != Repair::none) repairs.push_back(repair);
        }
        return repairs;
    }

    ProgressWatch watch_{60s};
    ProgressWatch::Worker worker_{.deliveries = 0, .able = true};
    std::optional<std::uint64_t> waiting_ = 5;
    ProgressWatch::Clock::time_point now_{1000s};
    int looks_ = 0;
};

TEST_F(Watched, RepairsHarderAndHarderWhenNothingComes) {
    EXPECT_THAT(over(60s), ElementsAre());
    EXPECT_THAT(over(15s), ElementsAre(Repair::consumer));
    EXPECT_THAT(over(60s), ElementsAre());
    EXPECT_THAT(over(15s), ElementsAre(Repair::connection));
    EXPECT_THAT(over(75s), ElementsAre(Repair::give_up));
    EXPECT_EQ(watch_.take_cure(), Repair::none);
}

TEST_F(Watched, ADeliveryNamesTheRepairThatCuredItAndBeginsAnew) {
    EXPECT_THAT(over(150s), ElementsAre(Repair::consumer, Repair::connection));
    ++worker_.deliveries;
    EXPECT_EQ(tick(), Repair::none);
    EXPECT_EQ(watch_.take_cure(), Repair::connection);
    EXPECT_EQ(watch_.take_cure(), Repair::none);
    EXPECT_THAT(over(75s), ElementsAre(Repair::consumer));
}

TEST_F(Watched, AsksNothingWhileDeliveriesCome) {
    for (int i = 0; i < 100; ++i) {
        ++worker_.deliveries;
        EXPECT_EQ(tick(), Repair::none);
    }
    EXPECT_EQ(looks_, 0);
}

// The false alarms.

TEST_F(Watched, AnEmptyQueueIsNoReason) {
    waiting_ = 0;  // so is one of which all is delayed, or held by other consumers
    EXPECT_THAT(over(1h), ElementsAre());
}

TEST_F(Watched, ABusyWorkerIsNoReason) {
    worker_.able = false;
    EXPECT_THAT(over(1h), ElementsAre());
    EXPECT_EQ(looks_, 0);
}

TEST_F(Watched, AMomentWithoutAFreeSlotBeginsTheTimeAnew) {
    for (int i = 0; i < 20; ++i) {
        EXPECT_THAT(over(45s), ElementsAre());
        worker_.able = false;
        EXPECT_EQ(tick(), Repair::none);
        worker_.able = true;
    }
}

TEST_F(Watched, AQueueThatOthersEmptyAtTimesIsNoReason) {
    for (int i = 0; i < 20; ++i) {
        waiting_ = 5;
        EXPECT_THAT(over(45s), ElementsAre());
        waiting_ = 0;
        EXPECT_EQ(tick(), Repair::none);
    }
}

TEST_F(Watched, WhenOthersEmptyTheQueueAfterARepairTheNextIsTheMildOneAgain) {
    EXPECT_THAT(over(75s), ElementsAre(Repair::consumer));
    waiting_ = 0;
    EXPECT_EQ(tick(), Repair::none);
    EXPECT_EQ(watch_.take_cure(), Repair::none);
    waiting_ = 5;
    EXPECT_THAT(over(75s), ElementsAre(Repair::consumer));
}

TEST_F(Watched, ABrokerThatDoesNotAnswerIsNoReason) {
    waiting_.reset();
    EXPECT_THAT(over(1h), ElementsAre());
    waiting_ = 5;
    EXPECT_THAT(over(60s), ElementsAre());
}

TEST_F(Watched, APauseOfTheProcessCountsAsNothing) {
    EXPECT_THAT(over(45s), ElementsAre());
    EXPECT_EQ(tick(24h), Repair::none);
    EXPECT_THAT(over(45s), ElementsAre());
    EXPECT_THAT(over(15s), ElementsAre(Repair::consumer));
}

TEST_F(Watched, ADeliveryDuringTheQuestionCounts) {
    EXPECT_THAT(over(60s), ElementsAre());
    now_ += watch_.interval();
    ASSERT_TRUE(watch_.wants_look(worker_));
    ++worker_.deliveries;
    EXPECT_EQ(watch_.looked(worker_, 5, now_), Repair::none);
}

TEST_F(Watched, LooksAtMostEveryFifteenSeconds) {
    EXPECT_EQ(ProgressWatch{1h}.interval(), 15s);
    EXPECT_EQ(ProgressWatch{20s}.interval(), 5s);
}

}  // namespace
}  // namespace lovage

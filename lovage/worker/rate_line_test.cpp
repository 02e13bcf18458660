#include <lovage/worker/rate_line.hpp>

#include <algorithm>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using Time = RateLine::Time;

constexpr Time kStart{24h};

RateLine line(double per_second) {
    return RateLine{RateLimit{per_second}, 30s};
}

TEST(RateLine, GivesTheFirstTurnAtOnceAndOthersAnIntervalApart) {
    RateLine turns = line(10);
    EXPECT_EQ(turns.next(kStart), kStart);
    turns.take(kStart);
    EXPECT_EQ(turns.next(kStart), kStart + 100ms);
    turns.take(kStart);
    turns.take(kStart);
    EXPECT_EQ(turns.next(kStart), kStart + 300ms);
}

TEST(RateLine, DoesNotMakeUpForTurnsThatNobodyTook) {
    RateLine turns = line(10);
    turns.take(kStart);
    EXPECT_EQ(turns.next(kStart + 1h), kStart + 1h);
    turns.take(kStart + 1h);
    EXPECT_EQ(turns.next(kStart + 1h), kStart + 1h + 100ms);
}

TEST(RateLine, ATurnThatIsGivenBackIsTheNextOnes) {
    RateLine turns = line(10);
    turns.take(kStart);
    turns.give_back(kStart);
    EXPECT_EQ(turns.next(kStart + 30ms), kStart + 30ms);
    turns.take(kStart + 30ms);
    EXPECT_EQ(turns.next(kStart + 30ms), kStart + 130ms) << "an interval apart, as ever";
}

TEST(RateLine, ATurnIsGivenBackUntilTheNextOneBegins) {
    RateLine turns = line(10);
    turns.take(kStart);
    turns.take(kStart);
    turns.give_back(kStart);
    EXPECT_EQ(turns.next(kStart + 50ms), kStart + 50ms);
    turns.take(kStart + 50ms);
    EXPECT_EQ(turns.next(kStart + 50ms), kStart + 200ms) << "once";
    turns.give_back(kStart);
    EXPECT_EQ(turns.next(kStart + 100ms), kStart + 200ms) << "not longer";
}

TEST(RateLine, LetsTasksWaitHereForAsLongAsTheHorizon) {
    const RateLine turns = line(10);
    EXPECT_TRUE(turns.soon(kStart + 30s, kStart));
    EXPECT_FALSE(turns.soon(kStart + 30s + 1ms, kStart));
}

TEST(RateLine, LetsTheNextTwoWaitWhenItIsSlow) {
    const RateLine of_minutes = line(1.0 / 120);
    EXPECT_TRUE(of_minutes.soon(kStart + 4min, kStart));
    EXPECT_FALSE(of_minutes.soon(kStart + 4min + 1s, kStart));
    const RateLine of_hours = line(1.0 / 3600);
    EXPECT_TRUE(of_hours.soon(kStart + 10min, kStart));
    EXPECT_FALSE(of_hours.soon(kStart + 10min + 1s, kStart));
}

TEST(RateLine, SpreadsThoseItSendsAwayOverTheTurnsToCome) {
    RateLine turns = line(1.0 / 60);
    turns.take(kStart);
    EXPECT_EQ(turns.stay_away(kStart), 2min);
    EXPECT_EQ(turns.stay_away(kStart), 3min);
    EXPECT_EQ(turns.stay_away(kStart + 30s), 3min + 30s);
    std::vector<std::chrono::milliseconds> away;
    for (int i = 0; i < 200; ++i) away.push_back(turns.stay_away(kStart));
    EXPECT_LE(*std::ranges::max_element(away), 64min);
    EXPECT_GE(*std::ranges::min_element(away), 2min);
}

TEST(RateLine, TheSlowestDoesNotOverflow) {
    RateLine turns = line(1e-6);
    turns.take(kStart);
    for (int i = 0; i < 200; ++i) EXPECT_GT(turns.stay_away(kStart), 0s);
}

}  // namespace
}  // namespace lovage

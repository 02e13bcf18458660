#include <lovage/worker/look_ahead.hpp>

#include <gtest/gtest.h>

namespace lovage {
namespace {

using namespace std::chrono_literals;

void settle(LookAhead& look_ahead, int times, LookAhead::Duration run,
            LookAhead::Duration settled) {
    for (int i = 0; i < times; ++i) look_ahead.on_task_settled(run, settled);
}

TEST(LookAhead, AsksForOneTaskASlotBeforeItKnowsAnything) {
    EXPECT_EQ(LookAhead{4}.prefetch(), 4U);
}

TEST(LookAhead, HoldsNothingInReserveForLongTasks) {
    LookAhead look_ahead{4};
    settle(look_ahead, 50, 2s, 5ms);
    EXPECT_EQ(look_ahead.prefetch(), 4U);
}

TEST(LookAhead, CoversTheRoundTripOfShortTasks) {
    LookAhead look_ahead{2};
    settle(look_ahead, 50, 1ms, 10ms);
    EXPECT_EQ(look_ahead.prefetch(), 2U + 20U);
}

TEST(LookAhead, StopsAtItsLimit) {
    LookAhead look_ahead{8};
    settle(look_ahead, 50, 0ns, 1s);
    EXPECT_EQ(look_ahead.prefetch(), 8U + LookAhead::kMost);
}

TEST(LookAhead, FollowsTheNumberOfSlots) {
    LookAhead look_ahead{2};
    settle(look_ahead, 50, 1ms, 10ms);
    look_ahead.set_slots(4);
    EXPECT_EQ(look_ahead.prefetch(), 4U + 40U);
}

TEST(LookAhead, GoesBackWhenTasksTurnLong) {
    LookAhead look_ahead{2};
    settle(look_ahead, 50, 10us, 5ms);
    ASSERT_GT(look_ahead.prefetch(), 100U);
    settle(look_ahead, 3, 10s, 5ms);
    EXPECT_EQ(look_ahead.prefetch(), 2U);
}

}  // namespace
}  // namespace lovage

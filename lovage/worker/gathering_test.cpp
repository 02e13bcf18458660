#include <lovage/worker/gathering.hpp>

#include <gtest/gtest.h>

#include <chrono>

namespace lovage {
namespace {

using namespace std::chrono_literals;

class GatheringTest : public ::testing::Test {
protected:
    /// So many pauses of a hundred deliveries, one by one in this interval.
    int pauses(std::chrono::microseconds interval) {
        int count = 0;
        for (int i = 0; i < 100; ++i) count += gathering_.came(1, now_ += interval) ? 1 : 0;
        return count;
    }
    Gathering gathering_;
    Gathering::Clock::time_point now_{1h};
};

TEST_F(GatheringTest, TasksThatComeFastOneByOneAreGathered) {
    EXPECT_GT(pauses(50us), 50);
}

TEST_F(GatheringTest, StepsOfAChainAreNotMadeLate) {
    EXPECT_EQ(pauses(250us), 0);
    EXPECT_EQ(pauses(1'500us), 0);
}

TEST_F(GatheringTest, GoesOnWhileEachPauseBringsSome) {
    (void)pauses(50us);
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(gathering_.came(10, now_ += 1'100us));
}

TEST_F(GatheringTest, ManyAtOnceNeedNoPause) {
    (void)pauses(50us);
    EXPECT_FALSE(gathering_.came(Gathering::kEnough, now_ += 1ms));
}

TEST_F(GatheringTest, AQuietTimeIsForgotten) {
    (void)pauses(50us);
    EXPECT_FALSE(gathering_.came(1, now_ += 10ms));
}

}  // namespace
}  // namespace lovage

#include <lovage/worker/autoscale.hpp>

#include <gtest/gtest.h>

namespace lovage {
namespace {

using namespace std::chrono_literals;

constexpr Autoscale::Clock::time_point at(std::chrono::seconds time) {
    return Autoscale::Clock::time_point{time};
}

TEST(Autoscale, GrowsAtOnceToWhatIsHeldAndNoFurtherThanItMay) {
    Autoscale scale{{.max = 8, .min = 2}};
    EXPECT_EQ(scale.slots_for(0, 2, at(0s)), 2U);
    EXPECT_EQ(scale.slots_for(5, 2, at(0s)), 5U);
    EXPECT_EQ(scale.slots_for(500, 5, at(0s)), 8U);
}

TEST(Autoscale, ShrinksWhenItsSlotsWereNotNeededForAWhile) {
    Autoscale scale{{.max = 8, .min = 2}};
    EXPECT_EQ(scale.slots_for(8, 8, at(100s)), 8U);
    EXPECT_EQ(scale.slots_for(3, 8, at(101s)), 8U);
    EXPECT_EQ(scale.slots_for(3, 8, at(129s)), 8U);
    EXPECT_EQ(scale.slots_for(3, 8, at(130s)), 3U);
    EXPECT_EQ(scale.slots_for(0, 3, at(131s)), 3U) << "three were needed a moment ago";
    EXPECT_EQ(scale.slots_for(0, 3, at(161s)), 2U);
}

TEST(Autoscale, AMomentOfUseKeepsTheSlots) {
    Autoscale scale{{.max = 8, .min = 1}};
    for (auto time = 0s; time < 300s; time += 20s) {
        EXPECT_EQ(scale.slots_for(8, 8, at(time)), 8U);
        EXPECT_EQ(scale.slots_for(0, 8, at(time + 10s)), 8U);
    }
}

TEST(Autoscale, AWorkerThatWasNeverBusyShrinksTooInTheEnd) {
    Autoscale scale{{.max = 8, .min = 1}};
    EXPECT_EQ(scale.slots_for(0, 4, at(5s)), 4U);
    EXPECT_EQ(scale.slots_for(0, 4, at(34s)), 4U);
    EXPECT_EQ(scale.slots_for(0, 4, at(35s)), 1U);
}

TEST(Autoscale, NewBoundsHoldAtOnce) {
    Autoscale scale{{.max = 8, .min = 1}};
    EXPECT_EQ(scale.slots_for(8, 8, at(0s)), 8U);
    scale.set({.max = 4, .min = 3});
    EXPECT_EQ(scale.slots_for(8, 8, at(0s)), 4U);
    EXPECT_EQ(scale.slots_for(0, 1, at(0s)), 3U);
}

TEST(Autoscale, BoundsThatMakeNoSenseAreMended) {
    EXPECT_EQ((Autoscale{{.max = 0, .min = 0}}.bounds()), (AutoscaleRange{1, 1}));
    EXPECT_EQ((Autoscale{{.max = 2, .min = 5}}.bounds()), (AutoscaleRange{2, 2}));
}

}  // namespace
}  // namespace lovage

#include <lovage/control/lamport_clock.hpp>

#include <thread>

#include <gtest/gtest.h>

namespace lovage {
namespace {

TEST(LamportClock, CountsWhatIsSent) {
    LamportClock clock;
    EXPECT_EQ(clock.now(), 0U);
    EXPECT_EQ(clock.forward(), 1U);
    EXPECT_EQ(clock.forward(), 2U);
    EXPECT_EQ(clock.now(), 2U);
}

TEST(LamportClock, GoesOnePastTheLargerOfBothWhenSomethingArrives) {
    LamportClock clock{5};
    EXPECT_EQ(clock.adjust(9), 10U);
    EXPECT_EQ(clock.adjust(3), 11U);
}

TEST(LamportClock, IsNotDrivenToItsEndByAPeer) {
    LamportClock clock{5};
    EXPECT_EQ(clock.adjust(~std::uint64_t{0}), 6U);
    EXPECT_EQ(clock.adjust(LamportClock::kForeignMax), LamportClock::kForeignMax + 1);
}

TEST(LamportClock, LosesNoStepOfTwoThreads) {
    LamportClock clock;
    const auto walk = [&clock] {
        for (int i = 0; i < 1000; ++i) {
            clock.forward();
            clock.adjust(0);
        }
    };
    std::thread other{walk};
    walk();
    other.join();
    EXPECT_EQ(clock.now(), 4000U);
}

}  // namespace
}  // namespace lovage

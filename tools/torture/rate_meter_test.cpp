#include "rate_meter.hpp"

#include <gtest/gtest.h>

namespace lovage::torture {
namespace {

using namespace std::chrono_literals;

/// Work whose two rates are told for each tenth of a second.
class Rate : public testing::Test {
protected:
    void go(int tenths, std::uint64_t accepted_each, std::uint64_t done_each) {
        for (int i = 0; i < tenths; ++i) {
            counts_.accepted += accepted_each;
            counts_.done += done_each;
            now_ += 100ms;
            meter_.sample(now_, counts_);
        }
    }

    RateMeter::Time now_{};
    RateMeter::Counts counts_;
    RateMeter meter_;
};

TEST_F(Rate, IsFullFromTheFirstSecondThatIs) {
    go(10, 0, 0);
    EXPECT_EQ(meter_.full_from({}, 100), std::nullopt);
    go(11, 10, 10);
    EXPECT_EQ(meter_.full_from({}, 100), RateMeter::Time{1s});
}

TEST_F(Rate, NeedsBothSendingAndRunning) {
    go(30, 10, 5);
    EXPECT_EQ(meter_.full_from({}, 100), std::nullopt);
    EXPECT_TRUE(meter_.full_from({}, 50));
}

TEST_F(Rate, OfAMomentDoesNotCount) {
    go(1, 500, 500);
    go(5, 0, 0);
    EXPECT_EQ(meter_.full_from({}, 100), std::nullopt);
}

TEST_F(Rate, CountsFromTheMomentAskedFor) {
    go(20, 10, 10);
    go(20, 0, 0);
    EXPECT_TRUE(meter_.full_from({}, 100));
    EXPECT_EQ(meter_.full_from(RateMeter::Time{2s}, 100), std::nullopt);
    meter_.clear();
    EXPECT_EQ(meter_.full_from({}, 100), std::nullopt);
}

}  // namespace
}  // namespace lovage::torture

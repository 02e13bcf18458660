#include <lovage/net/backoff.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace lovage::net {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

std::vector<std::chrono::milliseconds> waits(Backoff& backoff, int count) {
    std::vector<std::chrono::milliseconds> result;
    for (int index = 0; index < count; ++index) result.push_back(backoff.next());
    return result;
}

TEST(Backoff, DoublesItsLimitFromATenthOfASecondToTenSeconds) {
    Backoff backoff{[] { return 0.5; }};
    EXPECT_THAT(waits(backoff, 9),
                ElementsAre(50ms, 100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms, 5000ms, 5000ms));
}

TEST(Backoff, SpreadsOverTheWholeRangeBelowTheLimit) {
    Backoff low{[] { return 0.0; }};
    Backoff high{[] { return 0.999; }};
    EXPECT_THAT(waits(low, 3), ElementsAre(0ms, 0ms, 0ms));
    EXPECT_THAT(waits(high, 3), ElementsAre(99ms, 199ms, 399ms));
}

TEST(Backoff, StartsOverAfterAUsefulConnection) {
    Backoff backoff{[] { return 0.5; }};
    (void)waits(backoff, 5);
    backoff.reset();
    EXPECT_EQ(backoff.next(), 50ms);
}

TEST(Backoff, DrawsFromTheUnitInterval) {
    for (int draw = 0; draw < 1000; ++draw) {
        const double value = random_unit();
        ASSERT_GE(value, 0.0);
        ASSERT_LT(value, 1.0);
    }
}

}  // namespace
}  // namespace lovage::net

#include <lovage/worker/eta_policy.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using ::testing::Eq;
using ::testing::Optional;

constexpr EtaPolicy kPolicy{.horizon = 30s, .longest_delay = 19h};

TEST(EtaPolicy, HoldsWhatIsDueWithinTheHorizon) {
    EXPECT_EQ(kPolicy.broker_delay(1us, true), std::nullopt);
    EXPECT_EQ(kPolicy.broker_delay(30s, true), std::nullopt);
    EXPECT_THAT(kPolicy.broker_delay(30s + 1us, true), Optional(Eq(25s)));
}

TEST(EtaPolicy, BringsFarTasksBackALittleEarly) {
    EXPECT_THAT(kPolicy.broker_delay(1h, true), Optional(Eq(1h - 5s)));
    EXPECT_EQ((EtaPolicy{.horizon = 4s}).lead(), 1s);
    EXPECT_EQ((EtaPolicy{.horizon = 15min}).lead(), 5s);
}

TEST(EtaPolicy, AsksForNoMoreThanTheLongestDelay) {
    EXPECT_THAT(kPolicy.broker_delay(20h, true), Optional(Eq(19h)));
    // The year 9999, counted from 1970.
    EXPECT_THAT(kPolicy.broker_delay(std::chrono::hours{24} * 366 * 8029, true), Optional(Eq(19h)));
}

TEST(EtaPolicy, WithoutRoomNearTasksGoToTheBrokerToo) {
    EXPECT_THAT(kPolicy.broker_delay(20s, false), Optional(Eq(15s)));
    EXPECT_THAT(kPolicy.broker_delay(2s, false), Optional(Eq(1s)));
    EXPECT_THAT(kPolicy.broker_delay(1us, false), Optional(Eq(1s)));
}

TEST(EtaPolicy, HoldsWhatASmallHorizonWouldHandOverForAMoment) {
    EXPECT_EQ((EtaPolicy{.horizon = 1s}).broker_delay(1100ms, true), std::nullopt);
}

}  // namespace
}  // namespace lovage

#include <lovage/worker/lease_clock.hpp>

#include <gtest/gtest.h>

namespace lovage {
namespace {

using namespace std::chrono_literals;

constexpr LeaseClock::Time at(std::chrono::milliseconds time) {
    return LeaseClock::Time{} + 1h + time;
}

TEST(LeaseClock, RenewsAfterAThird) {
    LeaseClock lease{30s, at(0s)};
    EXPECT_EQ(lease.next(), at(10s));
    lease.renewed(at(11s));
    EXPECT_EQ(lease.next(), at(21s));
    EXPECT_FALSE(lease.may_have_lapsed(at(40s)));
    EXPECT_TRUE(lease.may_have_lapsed(at(41s)));
}

TEST(LeaseClock, TriesAgainSoonWhenTheStoreIsAway) {
    LeaseClock lease{30s, at(0s)};
    lease.failed(at(12s));
    EXPECT_EQ(lease.next(), at(13s));
    LeaseClock short_one{1s, at(0s)};
    short_one.failed(at(400ms));
    EXPECT_EQ(short_one.next(), at(500ms));
    EXPECT_TRUE(short_one.may_have_lapsed(at(1s)));
}

}  // namespace
}  // namespace lovage

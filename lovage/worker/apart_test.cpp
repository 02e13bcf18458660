#include <lovage/worker/apart.hpp>

#include <algorithm>
#include <chrono>

#include <gtest/gtest.h>

namespace lovage {
namespace {

using namespace std::chrono_literals;

constexpr Apart::Time kSentAway{24h};

TEST(Apart, ThoseSentAwayTogetherComeBackOneAfterAnother) {
    Apart apart;
    EXPECT_EQ(apart.stay_away(kSentAway), 1000ms);
    EXPECT_EQ(apart.stay_away(kSentAway), 1010ms);
    EXPECT_EQ(apart.stay_away(kSentAway + 5ms), 1015ms);
}

TEST(Apart, WhoIsBackDoesNotCount) {
    Apart apart;
    // One a second for a day: at any time one is away.
    for (int n = 0; n < 86'400; ++n) EXPECT_EQ(apart.stay_away(kSentAway + n * 1s), 1s);
    for (int n = 0; n < 500; ++n) (void)apart.stay_away(kSentAway + 24h);
    EXPECT_EQ(apart.stay_away(kSentAway + 24h + 10s), 1s);
}

TEST(Apart, NobodyStaysAwayForLongerThanFiveMinutes) {
    Apart apart;
    auto longest = 0ms;
    for (int n = 0; n < 100'000; ++n) longest = std::max(longest, apart.stay_away(kSentAway));
    EXPECT_EQ(longest, 301s);
}

}  // namespace
}  // namespace lovage

#include <lovage/worker/crash_count.hpp>

#include <chrono>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using detail::crash_times;
using detail::with_crash;
using ::testing::ElementsAre;

TEST(CrashTimes, GrowByOneCrash) {
    EXPECT_THAT(with_crash({}, TimePoint{1s}, false), ElementsAre(1000));
    EXPECT_THAT(with_crash({1000, 2000}, TimePoint{3s}, false), ElementsAre(1000, 2000, 3000));
}

TEST(CrashTimes, HoldAnAttemptOnceHoweverOftenItIsCharged) {
    EXPECT_THAT(with_crash({1000, 2000}, TimePoint{1s}, true), ElementsAre(1000, 2000));
    EXPECT_THAT(with_crash({2000}, TimePoint{1s}, true), ElementsAre(2000, 1000));
}

TEST(CrashTimes, OlderOnesThanTheWindowDoNotCount) {
    const TimePoint now{kCrashWindow + 2s};
    EXPECT_THAT(crash_times("[1999, 2000]", now), ElementsAre(2000));
}

TEST(CrashTimes, WhatCannotBeReadIsNoCrash) {
    EXPECT_TRUE(crash_times("nonsense", TimePoint{1s}).empty());
    EXPECT_THAT(crash_times(R"(["x", null, 500])", TimePoint{1s}), ElementsAre(500));
}

TEST(CrashTimes, AreBounded) {
    EXPECT_LE(with_crash(std::vector<std::int64_t>(100, 1), TimePoint{1s}, false).size(), 16U);
}

TEST(Crashes, AreCarriedInTheMessage) {
    Message message;
    message.body = "body";
    message.headers = Json::raw(R"({"task":"t","x-user":1})");
    EXPECT_EQ(crashes_of(message), 0U);
    const Message charged = with_crashes(message, 2);
    EXPECT_EQ(crashes_of(charged), 2U);
    EXPECT_EQ(charged.body, "body");
    EXPECT_EQ(to_json_text(charged.headers),
              R"({"task": "t", "x-user": 1, "x-lovage-crashes": 2})");
}

TEST(Crashes, NonsenseInTheHeaderIsNone) {
    Message message;
    message.headers = Json::object({{"x-lovage-crashes", "many"}});
    EXPECT_EQ(crashes_of(message), 0U);
    message.headers = Json::object({{"x-lovage-crashes", -5}});
    EXPECT_EQ(crashes_of(message), 0U);
}

}  // namespace
}  // namespace lovage

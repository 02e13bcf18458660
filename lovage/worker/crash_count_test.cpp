#include <lovage/worker/crash_count.hpp>

#include <chrono>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using detail::crash_times;
using ::testing::ElementsAre;

TEST(CrashTimes, GrowByOneCrash) {
    EXPECT_THAT(crash_times("[]", TimePoint{1s}), ElementsAre(1000));
    EXPECT_THAT(crash_times("[1000, 2000]", TimePoint{3s}), ElementsAre(1000, 2000, 3000));
}

TEST(CrashTimes, OlderOnesThanTheWindowDoNotCount) {
    const TimePoint now{kCrashWindow + 2s};
    EXPECT_EQ(crash_times("[1999, 2000]", now).size(), 2U);
}

TEST(CrashTimes, WhatCannotBeReadIsNoCrash) {
    EXPECT_THAT(crash_times("nonsense", TimePoint{1s}), ElementsAre(1000));
    EXPECT_THAT(crash_times(R"(["x", null, 500])", TimePoint{1s}), ElementsAre(500, 1000));
}

TEST(CrashTimes, AreBounded) {
    std::string many = "[1";
    for (int i = 0; i < 100; ++i) many += ", 1";
    EXPECT_LE(crash_times(many + "]", TimePoint{1s}).size(), 16U);
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

#include <lovage/worker/events/custom_events.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/support/turned_loop.hpp>

#include <memory>
#include <string>
#include <vector>

namespace lovage {
namespace {

class CustomEventsTest : public TurnedLoop {
protected:
    std::shared_ptr<CustomEvents> events_ =
        std::make_shared<CustomEvents>(loop_.get_executor(), [this] { ++news_; });
};

TEST_F(CustomEventsTest, ComeInTheirOrderAndAreNewsOnce) {
    events_->send("an-id", "task-progress", Json::object({{"done", 1}}));
    events_->send("an-id", "task-progress", Json::object());
    turn();
    EXPECT_EQ(news_, 1);
    const CustomEvents::Taken taken = events_->take();
    ASSERT_EQ(taken.events.size(), 2U);
    EXPECT_EQ(taken.events[0].type, "task-progress");
    EXPECT_EQ(taken.events[0].fields.members(), R"("uuid": "an-id", "done": 1)");
    EXPECT_EQ(taken.events[1].fields.members(), R"("uuid": "an-id")");
    EXPECT_GT(taken.events[0].timestamp, 0);
    EXPECT_TRUE(events_->take().events.empty());
    events_->send("an-id", "task-progress", Json::object());
    turn();
    EXPECT_EQ(news_, 2);
}

TEST_F(CustomEventsTest, WhatComesFasterThanItIsTakenIsCounted) {
    for (std::size_t i = 0; i < CustomEvents::kEventsMost + 5; ++i) {
        events_->send("an-id", "flood", Json::object());
    }
    const CustomEvents::Taken taken = events_->take();
    EXPECT_EQ(taken.events.size(), CustomEvents::kEventsMost);
    EXPECT_EQ(taken.dropped, 5U);
    const std::string large(CustomEvents::kBytesMost / 2, 'x');
    for (int i = 0; i < 3; ++i) {
        events_->send("an-id", "large", Json::object({{"text", large}}));
    }
    const CustomEvents::Taken more = events_->take();
    EXPECT_EQ(more.events.size(), 1U);
    EXPECT_EQ(more.dropped, 2U);
}

TEST_F(CustomEventsTest, NobodyIsToldAfterTheEnd) {
    events_->send("an-id", "before", Json::object());
    events_->close();
    events_->send("an-id", "after", Json::object());
    turn();
    EXPECT_EQ(news_, 0);
    EXPECT_TRUE(events_->take().events.empty());
}

}  // namespace
}  // namespace lovage

#include <lovage/app/reply_collector.hpp>

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

Message reply_from(const std::string& node, const Json& value, const std::string& ticket = "t") {
    return encode_control_reply({.ticket = ticket, .node = node, .value = value, .clock = 7});
}

TEST(ReplyCollector, MapsNodesToWhatTheyAnswered) {
    ReplyCollector replies{"t", {}, std::nullopt};
    EXPECT_EQ(replies.add(reply_from("b@h", 2)), 7U);
    EXPECT_TRUE(replies.add(reply_from("a@h", nullptr)));
    EXPECT_FALSE(replies.complete()) << "more nodes may answer";
    EXPECT_THAT(replies.duplicates(), IsEmpty());
    EXPECT_THAT(std::move(replies).take(), ElementsAre(Pair("a@h", Json{}), Pair("b@h", Json{2})));
}

TEST(ReplyCollector, IgnoresRepliesToOtherRequests) {
    ReplyCollector replies{"t", {"a@h"}, std::nullopt};
    EXPECT_EQ(replies.add(reply_from("a@h", 1, "another")), 7U) << "its clock counts";
    EXPECT_FALSE(replies.complete());
    EXPECT_THAT(std::move(replies).take(), IsEmpty());
}

TEST(ReplyCollector, IsCompleteWhenEveryDestinationHasAnswered) {
    ReplyCollector replies{"t", {"a@h", "b@h", "a@h"}, std::nullopt};
    (void)replies.add(reply_from("a@h", 1));
    (void)replies.add(reply_from("a@h", 1));
    EXPECT_FALSE(replies.complete()) << "two replies, but of one node";
    (void)replies.add(reply_from("b@h", 1));
    EXPECT_TRUE(replies.complete());
}

TEST(ReplyCollector, IsCompleteWhenEnoughNodesHaveAnswered) {
    ReplyCollector replies{"t", {}, 2};
    (void)replies.add(reply_from("a@h", 1));
    EXPECT_FALSE(replies.complete());
    (void)replies.add(reply_from("b@h", 1));
    EXPECT_TRUE(replies.complete());
}

TEST(ReplyCollector, TellsOfNodesThatAnswerTwiceAndKeepsTheLastReply) {
    ReplyCollector replies{"t", {}, std::nullopt};
    for (const int value : {1, 2, 3}) (void)replies.add(reply_from("a@h", value));
    EXPECT_THAT(replies.duplicates(), ElementsAre("a@h"));
    EXPECT_THAT(std::move(replies).take(), ElementsAre(Pair("a@h", Json{3})));
}

TEST(ReplyCollector, KeepsNothingOfWhatIsNoReply) {
    ReplyCollector replies{"t", {}, std::nullopt};
    Message nonsense = reply_from("a@h", 1);
    nonsense.body = "[1";
    const auto added = replies.add(nonsense);
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error().code, Errc::malformed);
    EXPECT_THAT(std::move(replies).take(), IsEmpty());
}

TEST(ReplyCollector, TakesNoMoreNodesThanItsLimit) {
    ReplyCollector replies{"t", {}, std::nullopt};
    for (std::size_t i = 0; i < ReplyCollector::kNodesMax; ++i) {
        ASSERT_TRUE(replies.add(reply_from("w" + std::to_string(i), 1)));
    }
    EXPECT_TRUE(replies.complete());
    const auto added = replies.add(reply_from("one more", 1));
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error().code, Errc::too_large);
    EXPECT_TRUE(replies.add(reply_from("w0", 2))) << "a node that is known";
}

}  // namespace
}  // namespace lovage

#include <lovage/clients/redis/subscription_set.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage::redis {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::size_t kAll = 100;

TEST(SubscriptionSet, TellsTheServerOncePerChannel) {
    SubscriptionSet set;
    set.add("a");
    set.add("a");
    set.add("b");
    const auto changes = set.changes(kAll);
    EXPECT_THAT(changes.subscribe, ElementsAre("a", "b"));
    EXPECT_FALSE(set.has_changes());
    EXPECT_FALSE(set.is_subscribed("a")) << "not confirmed yet";
    EXPECT_THAT(set.confirmed(changes), ElementsAre("a", "b"));
    EXPECT_TRUE(set.is_subscribed("a"));

    set.remove("a");
    EXPECT_FALSE(set.has_changes());
    set.remove("a");
    EXPECT_FALSE(set.is_subscribed("a"));
    EXPECT_THAT(set.changes(kAll).unsubscribe, ElementsAre("a"));
    EXPECT_EQ(set.size(), 1U);
}

TEST(SubscriptionSet, SaysNothingAboutWhatCameAndWentUntold) {
    SubscriptionSet set;
    set.add("brief");
    set.remove("brief");
    EXPECT_TRUE(set.changes(kAll).empty());

    set.add("kept");
    (void)set.confirmed(set.changes(kAll));
    set.remove("kept");
    set.add("kept");
    EXPECT_TRUE(set.changes(kAll).empty());
    EXPECT_TRUE(set.is_subscribed("kept"));
}

TEST(SubscriptionSet, AChannelDroppedWhileItIsConfirmedIsNotInForce) {
    SubscriptionSet set;
    set.add("a");
    const auto changes = set.changes(kAll);
    set.remove("a");
    EXPECT_THAT(set.confirmed(changes), IsEmpty());
    EXPECT_THAT(set.changes(kAll).unsubscribe, ElementsAre("a"));
}

TEST(SubscriptionSet, AsksForEverythingAgainOnANewConnection) {
    SubscriptionSet set;
    set.add("a");
    set.add("b");
    (void)set.confirmed(set.changes(kAll));
    set.add("c");
    const auto on_the_way = set.changes(kAll);
    set.remove("b");
    set.connection_lost();
    EXPECT_FALSE(set.is_subscribed("a"));
    EXPECT_THAT(set.confirmed(on_the_way), IsEmpty()) << "confirmed on the connection before";
    const auto changes = set.changes(kAll);
    EXPECT_THAT(changes.subscribe, ElementsAre("a", "c"));
    EXPECT_THAT(changes.unsubscribe, IsEmpty());
    EXPECT_THAT(set.confirmed(changes), ElementsAre("a", "c"));
}

TEST(SubscriptionSet, GivesLargeChangesInParts) {
    SubscriptionSet set;
    for (const char* name : {"a", "b", "c", "d", "e"}) set.add(name);
    EXPECT_THAT(set.changes(2).subscribe, ElementsAre("a", "b"));
    EXPECT_THAT(set.changes(2).subscribe, ElementsAre("c", "d"));
    EXPECT_TRUE(set.has_changes());
    EXPECT_THAT(set.changes(2).subscribe, ElementsAre("e"));
    EXPECT_FALSE(set.has_changes());
}

}  // namespace
}  // namespace lovage::redis

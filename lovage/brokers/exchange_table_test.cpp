#include <lovage/brokers/exchange_table.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

std::vector<ExchangeTable::QueueKey> route(const ExchangeTable& table, std::string_view exchange,
                                           std::string_view key) {
    std::vector<ExchangeTable::QueueKey> queues;
    EXPECT_TRUE(table.route(exchange, key, queues));
    return queues;
}

ExchangeTable with_queues() {
    ExchangeTable table;
    table.add_queue("mail", 1);
    table.add_queue("logs", 2);
    table.add_queue("all", 3);
    return table;
}

TEST(TopicPattern, StarIsExactlyOneWordAndHashAnyNumber) {
    EXPECT_TRUE(topic_matches("a.b", "a.b"));
    EXPECT_FALSE(topic_matches("a.b", "a.b.c"));
    EXPECT_FALSE(topic_matches("a.b.c", "a.b"));
    EXPECT_TRUE(topic_matches("a.*", "a.b"));
    EXPECT_FALSE(topic_matches("a.*", "a"));
    EXPECT_FALSE(topic_matches("a.*", "a.b.c"));
    EXPECT_TRUE(topic_matches("*", "a"));
    EXPECT_TRUE(topic_matches("#", "a.b.c"));
    EXPECT_TRUE(topic_matches("#", ""));
    EXPECT_FALSE(topic_matches("*", ""));
    EXPECT_TRUE(topic_matches("a.#", "a"));
    EXPECT_TRUE(topic_matches("a.#", "a.b.c"));
    EXPECT_TRUE(topic_matches("#.c", "a.b.c"));
    EXPECT_TRUE(topic_matches("#.c", "c"));
    EXPECT_FALSE(topic_matches("#.c", "a.b"));
    EXPECT_TRUE(topic_matches("a.#.c", "a.c"));
    EXPECT_TRUE(topic_matches("a.#.b.#.c", "a.x.b.b.y.c"));
    EXPECT_FALSE(topic_matches("a.#.b.#.c", "a.x.y.c"));
    EXPECT_TRUE(topic_matches("#.*", "a"));
    EXPECT_FALSE(topic_matches("#.*", ""));
    EXPECT_TRUE(topic_matches("*.#.*", "a.b"));
    EXPECT_FALSE(topic_matches("*.#.*", "a"));
    EXPECT_TRUE(topic_matches("a..b", "a..b"));
    EXPECT_TRUE(topic_matches("a.*.b", "a..b"));
    EXPECT_FALSE(topic_matches("#a", "a")) << "a hash inside a word is no wildcard";
}

TEST(TopicPattern, ManyHashesStayQuick) {
    std::string pattern;
    std::string key;
    for (int i = 0; i < 100; ++i) {
        pattern += "#.a.";
        key += "a.a.";
    }
    EXPECT_FALSE(topic_matches(pattern + "b", key + "c"));
}

TEST(ExchangeTable, TheDefaultExchangeRoutesToTheQueueNamedByTheKey) {
    const ExchangeTable table = with_queues();
    EXPECT_THAT(route(table, "", "logs"), ElementsAre(2));
    EXPECT_THAT(route(table, "", "nobody"), IsEmpty());
}

TEST(ExchangeTable, DirectComparesFanoutIgnoresTopicMatches) {
    ExchangeTable table = with_queues();
    ASSERT_TRUE(table.declare_exchange({.name = "d", .type = ExchangeType::direct}));
    ASSERT_TRUE(table.declare_exchange({.name = "f", .type = ExchangeType::fanout}));
    ASSERT_TRUE(table.declare_exchange({.name = "t", .type = ExchangeType::topic}));
    for (const std::string exchange : {"d", "f", "t"}) {
        ASSERT_TRUE(table.bind({.queue = "mail", .exchange = exchange, .routing_key = "x.y"}));
        ASSERT_TRUE(table.bind({.queue = "all", .exchange = exchange, .routing_key = "#"}));
    }
    EXPECT_THAT(route(table, "d", "x.y"), ElementsAre(1));
    EXPECT_THAT(route(table, "d", "z"), IsEmpty());
    EXPECT_THAT(route(table, "f", "z"), UnorderedElementsAre(1, 3));
    EXPECT_THAT(route(table, "t", "z"), ElementsAre(3));
}

TEST(ExchangeTable, AQueueBoundTwiceGetsTheMessageOnce) {
    ExchangeTable table = with_queues();
    ASSERT_TRUE(table.declare_exchange({.name = "t", .type = ExchangeType::topic}));
    ASSERT_TRUE(table.bind({.queue = "mail", .exchange = "t", .routing_key = "a.*"}));
    ASSERT_TRUE(table.bind({.queue = "mail", .exchange = "t", .routing_key = "*.b"}));
    ASSERT_TRUE(table.bind({.queue = "mail", .exchange = "t", .routing_key = "*.b"}));
    EXPECT_THAT(route(table, "t", "a.b"), ElementsAre(1));
}

TEST(ExchangeTable, NamesWhatIsMissing) {
    ExchangeTable table = with_queues();
    std::vector<ExchangeTable::QueueKey> queues;
    EXPECT_EQ(table.route("nowhere", "x", queues).error().code, Errc::not_found);
    const auto no_exchange =
        table.bind({.queue = "mail", .exchange = "nowhere", .routing_key = "x"});
    EXPECT_THAT(no_exchange.error().message(), HasSubstr("no exchange named 'nowhere'"));
    ASSERT_TRUE(table.declare_exchange({.name = "d"}));
    const auto no_queue = table.bind({.queue = "nobody", .exchange = "d", .routing_key = "x"});
    EXPECT_THAT(no_queue.error().message(), HasSubstr("no queue named 'nobody'"));
    EXPECT_EQ(table.bind({.queue = "mail", .exchange = "", .routing_key = "x"}).error().code,
              Errc::invalid_argument);
}

TEST(ExchangeTable, RedeclaringDifferentlyIsAConflictThatNamesTheProperty) {
    ExchangeTable table;
    ASSERT_TRUE(table.declare_exchange({.name = "e", .type = ExchangeType::topic}));
    EXPECT_TRUE(table.declare_exchange({.name = "e", .type = ExchangeType::topic}));
    const auto refused = table.declare_exchange({.name = "e", .type = ExchangeType::fanout});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::conflict);
    EXPECT_THAT(refused.error().detail,
                HasSubstr("exchange 'e' exists with type topic, not fanout"));
}

TEST(ExchangeTable, RemovingAQueueRemovesItsBindingsAndItsAutoDeleteExchange) {
    ExchangeTable table = with_queues();
    ASSERT_TRUE(table.declare_exchange({.name = "kept", .type = ExchangeType::fanout}));
    ASSERT_TRUE(table.declare_exchange(
        {.name = "gone", .type = ExchangeType::fanout, .auto_delete = true}));
    ASSERT_TRUE(table.bind({.queue = "mail", .exchange = "kept", .routing_key = ""}));
    ASSERT_TRUE(table.bind({.queue = "mail", .exchange = "gone", .routing_key = ""}));
    table.remove_queue("mail");
    EXPECT_THAT(route(table, "kept", ""), IsEmpty());
    std::vector<ExchangeTable::QueueKey> queues;
    EXPECT_EQ(table.route("gone", "", queues).error().code, Errc::not_found);
    EXPECT_THAT(table.queue_names(), ElementsAre("all", "logs"));
}

}  // namespace
}  // namespace lovage

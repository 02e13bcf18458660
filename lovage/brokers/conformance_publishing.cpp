// What every broker owes to who publishes: confirms, routing, limits.
#include <lovage/brokers/conformance_suite.hpp>

#include <gmock/gmock.h>

#include <string>
#include <vector>

namespace lovage::conformance {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(BrokerConformance);

TEST_P(BrokerConformance, AMessageArrivesWithEverythingItWasSentWith) {
    Client client{*store_};
    client.queue("q");
    const std::string body{"\x00\xff{\"a\": 1}", 10};
    const bool wide = GetParam().passes_wide_integers;
    const std::string number = wide ? "12345678901234567890" : "-1234567890123456789";
    Message message{
        .properties = {.content_type = "application/x-test",
                       .content_encoding = "binary",
                       .correlation_id = "id-1",
                       .reply_to = "answers",
                       .priority = 7,
                       .delivery_mode = 1,
                       .expiration = 3600'000ms},
        .headers =
            parse_json(R"({"task": "add", "n": )" + number + R"(, "x": [null, "ü"]})").value(),
        .body = body};
    ASSERT_TRUE(client.publish({.routing_key = "q", .message = message}));
    const auto consumer = client.consume({"q"}, 1);
    const Delivery got = consumer->receive_one();
    EXPECT_EQ(got.queue, "q");
    EXPECT_EQ(got.exchange, "");
    EXPECT_EQ(got.routing_key, "q");
    EXPECT_FALSE(got.redelivered);
    EXPECT_FALSE(got.expired);
    EXPECT_EQ(got.message.body, body);
    EXPECT_EQ(got.message.headers, message.headers);
    EXPECT_EQ(got.message.properties.content_type, "application/x-test");
    EXPECT_EQ(got.message.properties.content_encoding, "binary");
    EXPECT_EQ(got.message.properties.correlation_id, "id-1");
    EXPECT_EQ(got.message.properties.reply_to, "answers");
    EXPECT_EQ(got.message.properties.priority, 7);
    EXPECT_EQ(got.message.properties.delivery_mode, 1);
    EXPECT_EQ(got.message.properties.expiration, 3600'000ms);
}

TEST_P(BrokerConformance, AnEmptyMessageArrives) {
    Client client{*store_};
    client.queue("q");
    client.send("q", "");
    const Delivery got = client.consume({"q"}, 1)->receive_one();
    EXPECT_EQ(got.message.body, "");
    EXPECT_EQ(got.message.headers, Json::object());
    EXPECT_FALSE(got.message.properties.priority.has_value());
}

TEST_P(BrokerConformance, AConfirmedMessageIsThereForEveryConnection) {
    Client sender{*store_};
    sender.queue("q");
    sender.send("q", "a");
    Client other{*store_};
    EXPECT_EQ(other.status("q").ready, 1U);
    EXPECT_EQ(other.consume({"q"}, 1)->receive_one().message.body, "a");
}

TEST_P(BrokerConformance, PingSaysWhetherItIsConnected) {
    Client client{*store_};
    const auto ping = [&client] { return client.start(client.broker().ping(soon())).get(); };
    EXPECT_TRUE(ping());
    client.close();
    const auto closed = ping();
    ASSERT_FALSE(closed);
    EXPECT_EQ(closed.error().code, Errc::disconnected);
}

TEST_P(BrokerConformance, WhatNoQueueTakesIsUnroutableAndNamesIt) {
    Client client{*store_};
    const auto refused = client.publish({.routing_key = "nobody", .message = {.body = "x"}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::unroutable);
    EXPECT_THAT(refused.error().detail, HasSubstr("nobody"));
    EXPECT_TRUE(
        client.publish({.routing_key = "nobody", .message = {.body = "x"}, .mandatory = false}));
}

TEST_P(BrokerConformance, DirectFanoutAndTopicExchangesRoute) {
    Client client{*store_};
    auto& broker = client.broker();
    for (const char* name : {"one", "two"}) client.queue(name);
    const std::vector<std::pair<std::string, ExchangeType>> exchanges{
        {"d", ExchangeType::direct}, {"f", ExchangeType::fanout}, {"t", ExchangeType::topic}};
    for (const auto& [name, type] : exchanges) {
        ASSERT_TRUE(client.run(broker.declare_exchange({.name = name, .type = type}, soon())));
        ASSERT_TRUE(client.run(
            broker.bind({.queue = "one", .exchange = name, .routing_key = "a.b"}, soon())));
        ASSERT_TRUE(client.run(
            broker.bind({.queue = "two", .exchange = name, .routing_key = "*.c"}, soon())));
    }
    const auto publish = [&](std::string exchange, std::string key) {
        return client.publish(
            {.exchange = exchange, .routing_key = key, .message = {.body = exchange + ":" + key}});
    };
    EXPECT_TRUE(publish("d", "a.b"));
    EXPECT_TRUE(publish("f", "anything"));
    EXPECT_TRUE(publish("t", "x.c"));
    EXPECT_EQ(publish("d", "x.c").error().code, Errc::unroutable);
    EXPECT_EQ(publish("t", "x.c.d").error().code, Errc::unroutable);
    EXPECT_THAT(bodies(client.consume({"one"}, 10)->receive_many(2)),
                ElementsAre("d:a.b", "f:anything"));
    EXPECT_THAT(bodies(client.consume({"two"}, 10)->receive_many(2)),
                ElementsAre("f:anything", "t:x.c"));
}

TEST_P(BrokerConformance, BindingNeedsAnExchangeAndAQueue) {
    Client client{*store_};
    client.queue("q");
    auto& broker = client.broker();
    EXPECT_EQ(client.run(broker.bind({.queue = "q", .exchange = "none", .routing_key = ""}, soon()))
                  .error()
                  .code,
              Errc::not_found);
    ASSERT_TRUE(client.run(broker.declare_exchange({.name = "e"}, soon())));
    EXPECT_EQ(client.run(broker.bind({.queue = "none", .exchange = "e", .routing_key = ""}, soon()))
                  .error()
                  .code,
              Errc::not_found);
}

TEST_P(BrokerConformance, TheLargestMessagePassesAndOneByteMoreIsRefused) {
    Client client{*store_};
    client.queue("q");
    std::string body(std::size_t{16} << 20U, 'x');
    body.front() = 'a';
    body.back() = 'z';
    client.send("q", body);
    const auto refused = client.publish({.routing_key = "q", .message = {.body = body + "!"}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::too_large);
    const auto consumer = client.consume({"q"}, 2);
    const Delivery got = consumer->receive_one();
    EXPECT_EQ(got.message.body.size(), body.size());
    EXPECT_TRUE(got.message.body == body);
    consumer->ack_all({got});
    EXPECT_EQ(client.status("q").ready, 0U);
}

TEST_P(BrokerConformance, APublishWhoseDeadlineHasPassedStoresNothing) {
    Client client{*store_};
    client.queue("q");
    const auto refused =
        client.publish({.routing_key = "q", .message = {.body = "late"}}, Deadline::in(0s));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::deadline_exceeded);
    client.send("q", "in time");
    EXPECT_EQ(client.status("q").ready, 1U);
}

}  // namespace lovage::conformance

#include <lovage/brokers/conformance.hpp>
#include <lovage/brokers/test_client.hpp>

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

namespace lovage::conformance {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(BrokerConformance);

namespace {

/// A client of the test's store.
class Client : public TestClient {
public:
    explicit Client(BrokerStore& store)
        : TestClient{[&](Executor executor) { return store.make_broker(std::move(executor)); }} {}
};

Awaitable<Result<void>> publish_many(Broker* broker, std::string queue, int first, int count) {
    for (int i = 0; i < count; ++i) {
        auto sent = co_await broker->publish(
            {.routing_key = queue, .message = {.body = std::to_string(first + i)}}, soon());
        if (!sent) co_return sent;
    }
    co_return Result<void>{};
}

/// Publishes 0 … count-1 from many coroutines at a time.
void flood(TestClient& client, const std::string& queue, int count) {
    constexpr int kEach = 100;
    std::vector<std::future<Result<void>>> parts;
    for (int first = 0; first < count; first += kEach) {
        parts.push_back(client.start(
            publish_many(&client.broker(), queue, first, std::min(kEach, count - first))));
    }
    for (auto& part : parts) {
        const auto sent = part.get();
        EXPECT_TRUE(sent) << sent.error().message();
    }
}

}  // namespace

// --- publishing and routing ----------------------------------------------------------

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

// --- consuming and settling ----------------------------------------------------------

TEST_P(BrokerConformance, AWaitingConsumerHearsOfANewMessage) {
    Client consumer_side{*store_};
    Client sender{*store_};
    consumer_side.queue("q");
    const auto consumer = consumer_side.consume({"q"}, 1);
    ASSERT_TRUE(consumer->nothing_comes());
    auto waiting = consumer_side.start(consumer->consumer().receive(soon()));
    sender.send("q", "a");
    const auto got = waiting.get();
    ASSERT_TRUE(got) << got.error().message();
    EXPECT_THAT(bodies(*got), ElementsAre("a"));
}

TEST_P(BrokerConformance, PrefetchBoundsWhatIsOut) {
    Client client{*store_};
    client.queue("q");
    for (const char* body : {"a", "b", "c", "d"}) client.send("q", body);
    const auto consumer = client.consume({"q"}, 2);
    const auto first = consumer->receive_many(2);
    EXPECT_THAT(bodies(first), ElementsAre("a", "b"));
    EXPECT_EQ(consumer->consumer().unsettled(), 2U);
    EXPECT_TRUE(consumer->nothing_comes());
    EXPECT_EQ(client.status("q").unsettled, 2U);
    consumer->ack(first[1]);
    EXPECT_EQ(consumer->receive_one().message.body, "c");
    EXPECT_TRUE(consumer->nothing_comes());
    client.on_loop([&] { consumer->consumer().set_prefetch(3); });
    EXPECT_EQ(consumer->receive_one().message.body, "d");
}

TEST_P(BrokerConformance, LoweringPrefetchHoldsDeliveriesBack) {
    Client client{*store_};
    client.queue("q");
    for (const char* body : {"a", "b", "c", "d"}) client.send("q", body);
    const auto consumer = client.consume({"q"}, 3);
    const auto out = consumer->receive_many(3);
    client.on_loop([&] { consumer->consumer().set_prefetch(1); });
    consumer->ack_all({out[0], out[1]});
    EXPECT_TRUE(consumer->nothing_comes());
    consumer->ack_all({out[2]});
    EXPECT_EQ(consumer->receive_one().message.body, "d");
}

TEST_P(BrokerConformance, AnAckedMessageIsGone) {
    Client client{*store_};
    client.queue("q");
    client.send("q", "a");
    {
        const auto consumer = client.consume({"q"}, 1);
        consumer->ack(consumer->receive_one());
        consumer->flush();
    }
    const QueueStatus status = client.status("q");
    EXPECT_EQ(status.ready, 0U);
    EXPECT_EQ(status.unsettled, 0U);
}

TEST_P(BrokerConformance, ARejectedMessageIsGoneOrComesBackMarked) {
    Client client{*store_};
    client.queue("q");
    for (const char* body : {"a", "b", "c"}) client.send("q", body);
    const auto consumer = client.consume({"q"}, 3);
    const auto out = consumer->receive_many(3);
    consumer->reject(out[0], Requeue::no);
    consumer->reject(out[1], Requeue::yes);
    const Delivery again = consumer->receive_one();
    EXPECT_EQ(again.message.body, "b");
    EXPECT_TRUE(again.redelivered);
    consumer->ack_all({again, out[2]});
    EXPECT_EQ(client.status("q").ready, 0U);
}

TEST_P(BrokerConformance, ARequeuedMessageKeepsItsPlace) {
    if (!GetParam().requeues_in_place) GTEST_SKIP() << "this broker appends";
    Client client{*store_};
    client.queue("q");
    for (const char* body : {"a", "b", "c"}) client.send("q", body);
    const auto consumer = client.consume({"q"}, 1);
    consumer->reject(consumer->receive_one(), Requeue::yes);
    std::vector<std::string> order;
    for (int i = 0; i < 3; ++i) {
        const Delivery got = consumer->receive_one();
        order.push_back(got.message.body);
        consumer->ack(got);
    }
    EXPECT_THAT(order, ElementsAre("a", "b", "c"));
}

TEST_P(BrokerConformance, ATagIsGoodOnceAndOnlyForItsConsumer) {
    Client client{*store_};
    client.queue("q");
    for (const char* body : {"a", "b"}) client.send("q", body);
    const auto first = client.consume({"q"}, 1);
    const Delivery a = first->receive_one();
    const auto second = client.consume({"q"}, 1);
    const Delivery b = second->receive_one();
    second->ack(a);
    first->ack(b);
    EXPECT_EQ(client.status("q").unsettled, 2U);
    EXPECT_EQ(first->consumer().stale_settlements(), 1U);
    first->ack_all({a});
    first->ack_all({a});
    EXPECT_EQ(first->consumer().stale_settlements(), 2U);
    EXPECT_EQ(client.status("q").unsettled, 1U);
}

TEST_P(BrokerConformance, WhatADeadConsumerHeldIsRedeliveredToOthers) {
    Client client{*store_};
    Client other{*store_};
    client.queue("q");
    for (const char* body : {"a", "b"}) client.send("q", body);
    auto dying = client.consume({"q"}, 2);
    dying->ack(dying->receive_many(2)[0]);
    dying->flush();
    const auto heir = other.consume({"q"}, 2);
    auto waiting = other.start(heir->consumer().receive(soon()));
    dying.reset();
    const auto got = waiting.get();
    ASSERT_TRUE(got) << got.error().message();
    EXPECT_THAT(bodies(*got), ElementsAre("b"));
    EXPECT_TRUE(got->front().redelivered);
}

TEST_P(BrokerConformance, ClosingReturnsWhatIsUnsettled) {
    Client client{*store_};
    client.queue("q");
    for (const char* body : {"a", "b", "c"}) client.send("q", body);
    const auto consumer = client.consume({"q"}, 2);
    const auto out = consumer->receive_many(2);
    consumer->ack(out[0]);
    ASSERT_TRUE(client.run(consumer->consumer().close(soon())));
    const QueueStatus status = client.status("q");
    EXPECT_EQ(status.ready, 2U);
    EXPECT_EQ(status.unsettled, 0U);
    EXPECT_EQ(status.consumers, 0U);
    EXPECT_EQ(consumer->receive().error().code, Errc::cancelled);
}

TEST_P(BrokerConformance, ClosingTheConnectionReturnsWhatIsUnsettled) {
    Client watcher{*store_};
    watcher.queue("q");
    watcher.send("q", "a");
    Client client{*store_};
    const auto consumer = client.consume({"q"}, 1);
    const Delivery out = consumer->receive_one();
    client.close();
    client.close();
    EXPECT_EQ(watcher.status("q").ready, 1U);
    consumer->ack(out);  // harmless
    EXPECT_EQ(watcher.status("q").ready, 1U);
    EXPECT_EQ(client.publish({.routing_key = "q", .message = {.body = "x"}}).error().code,
              Errc::disconnected);
}

TEST_P(BrokerConformance, CancellingEndsDeliveriesAndLeavesSettlingPossible) {
    Client client{*store_};
    client.queue("q");
    client.send("q", "a");
    const auto consumer = client.consume({"q"}, 2);
    const Delivery out = consumer->receive_one();
    auto waiting = client.start(consumer->consumer().receive(soon()));
    ASSERT_TRUE(client.run(consumer->consumer().cancel(soon())));
    EXPECT_EQ(waiting.get().error().code, Errc::cancelled);
    client.send("q", "b");
    EXPECT_EQ(consumer->receive().error().code, Errc::cancelled);
    EXPECT_EQ(client.status("q").consumers, 0U);
    consumer->ack_all({out});
    const QueueStatus status = client.status("q");
    EXPECT_EQ(status.unsettled, 0U);
    EXPECT_EQ(status.ready, 1U);
}

TEST_P(BrokerConformance, ReceiveEndsAtItsDeadline) {
    Client client{*store_};
    client.queue("q");
    const auto consumer = client.consume({"q"}, 1);
    EXPECT_EQ(consumer->receive(Deadline::in(5ms)).error().code, Errc::deadline_exceeded);
    client.send("q", "a");
    EXPECT_EQ(consumer->receive_one().message.body, "a");
}

TEST_P(BrokerConformance, TwoConsumersShareAQueueWithoutDoubles) {
    constexpr std::size_t kCount = 500;
    Client one{*store_};
    Client two{*store_};
    one.queue("q");
    flood(one, "q", kCount);
    std::atomic<std::size_t> total{0};
    std::mutex mutex;
    std::multiset<std::string> seen;
    const auto work = [&](TestClient& client) {
        const auto consumer = client.consume({"q"}, 7);
        while (total < kCount) {
            const auto got = consumer->receive(Deadline::in(20ms));
            if (!got) continue;
            total += got->size();
            consumer->ack_all(*got);
            const std::lock_guard lock{mutex};
            for (const Delivery& delivery : *got) seen.insert(delivery.message.body);
        }
    };
    std::thread other{[&] { work(two); }};
    work(one);
    other.join();
    EXPECT_EQ(seen.size(), kCount);
    EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()).size(), kCount);
    EXPECT_EQ(one.status("q").ready, 0U);
}

TEST_P(BrokerConformance, TenThousandInFlight) {
    constexpr std::size_t kCount = 10'000;
    Client client{*store_};
    client.queue("q");
    flood(client, "q", kCount);
    EXPECT_EQ(client.status("q").ready, kCount);
    const auto consumer = client.consume({"q"}, kCount);
    const auto all = consumer->receive_many(kCount);
    EXPECT_EQ(consumer->consumer().unsettled(), kCount);
    EXPECT_EQ(client.status("q").unsettled, kCount);
    consumer->ack_all(all);
    const QueueStatus status = client.status("q");
    EXPECT_EQ(status.ready, 0U);
    EXPECT_EQ(status.unsettled, 0U);
    EXPECT_EQ(consumer->consumer().unsettled(), 0U);
}

// --- order ---------------------------------------------------------------------------

TEST_P(BrokerConformance, MoreUrgentMessagesComeFirstThenOlderOnes) {
    Client client{*store_};
    ASSERT_TRUE(client.declare({.name = "q", .max_priority = 5}));
    const auto send = [&](std::string body, std::optional<std::uint8_t> priority) {
        ASSERT_TRUE(client.publish(
            {.routing_key = "q", .message = {.properties = {.priority = priority}, .body = body}}));
    };
    send("none", std::nullopt);
    send("2a", 2);
    send("5", 5);
    send("9 counts as 5", 9);
    send("2b", 2);
    const auto consumer = client.consume({"q"}, 1);
    std::vector<std::string> order;
    for (int i = 0; i < 5; ++i) {
        const Delivery got = consumer->receive_one();
        order.push_back(got.message.body);
        consumer->ack(got);
    }
    EXPECT_THAT(order, ElementsAre("5", "9 counts as 5", "2a", "2b", "none"));
}

TEST_P(BrokerConformance, AQueueWithoutPrioritiesIgnoresThem) {
    Client client{*store_};
    client.queue("q");
    client.send("q", "first");
    ASSERT_TRUE(client.publish(
        {.routing_key = "q", .message = {.properties = {.priority = 9}, .body = "urgent"}}));
    EXPECT_THAT(bodies(client.consume({"q"}, 2)->receive_many(2)), ElementsAre("first", "urgent"));
}

TEST_P(BrokerConformance, SeveralQueuesOfOneConsumerAreTakenInTurn) {
    // Where chance decides, 20 of 40 are left to it: fewer than 2 come once in ten million runs.
    const bool strict = GetParam().takes_strict_turns;
    const int taken = strict ? 6 : 40;
    Client client{*store_};
    for (const char* queue : {"a", "b"}) {
        client.queue(queue);
        for (int i = 0; i < taken; ++i) client.send(queue, queue + std::to_string(i));
    }
    const auto consumer = client.consume({"a", "b"}, 1);
    std::vector<std::string> from;
    for (int i = 0; i < taken; ++i) {
        const Delivery got = consumer->receive_one();
        from.push_back(got.queue);
        consumer->ack(got);
    }
    const auto of_a = std::ranges::count(from, "a");
    if (strict) {
        EXPECT_EQ(of_a, taken / 2);
    } else {
        EXPECT_THAT(of_a, ::testing::AllOf(::testing::Ge(2), ::testing::Le(taken - 2)));
    }
}

// --- time ----------------------------------------------------------------------------

TEST_P(BrokerConformance, ADelayedMessageIsNotSeenBeforeItsTime) {
    Client client{*store_};
    if (!client.broker().delays_natively())
        GTEST_SKIP() << "this broker leaves delays to consumers";
    client.queue("q");
    const auto consumer = client.consume({"q"}, 3);
    const auto start = std::chrono::steady_clock::now();
    ASSERT_TRUE(
        client.publish({.routing_key = "q", .message = {.body = "later"}, .delay = 1500ms}));
    ASSERT_TRUE(
        client.publish({.routing_key = "q", .message = {.body = "sooner"}, .delay = 150ms}));
    EXPECT_EQ(consumer->receive_one().message.body, "sooner");
    EXPECT_GE(std::chrono::steady_clock::now() - start, 145ms);
    EXPECT_EQ(consumer->receive_one().message.body, "later");
    EXPECT_GE(std::chrono::steady_clock::now() - start, 1495ms);
}

TEST_P(BrokerConformance, AnEarlierDelayedMessageShortensTheWait) {
    Client client{*store_};
    if (!client.broker().delays_natively())
        GTEST_SKIP() << "this broker leaves delays to consumers";
    client.queue("q");
    ASSERT_TRUE(
        client.publish({.routing_key = "q", .message = {.body = "tomorrow"}, .delay = 24h}));
    EXPECT_EQ(client.status("q").delayed, 1U);
    EXPECT_EQ(client.status("q").ready, 0U);
    const auto consumer = client.consume({"q"}, 1);
    auto waiting = client.start(consumer->consumer().receive(soon()));
    ASSERT_TRUE(client.publish({.routing_key = "q", .message = {.body = "now"}, .delay = 30ms}));
    const auto got = waiting.get();
    ASSERT_TRUE(got);
    EXPECT_THAT(bodies(*got), ElementsAre("now"));
}

TEST_P(BrokerConformance, AMessageWhoseTimeIsOverArrivesMarked) {
    Client client{*store_};
    if (!GetParam().delivers_expired || !client.broker().delays_natively()) {
        GTEST_SKIP() << "this broker discards expired messages, or leaves delays to consumers";
    }
    client.queue("q");
    ASSERT_TRUE(client.declare({.name = "ttl", .message_ttl = 5ms}));
    // The delay lets the time run out before anybody can take it.
    const auto send = [&](std::string queue, std::string body,
                          std::optional<std::chrono::milliseconds> expiration) {
        return client.publish({.routing_key = queue,
                               .message = {.properties = {.expiration = expiration}, .body = body},
                               .delay = 30ms});
    };
    ASSERT_TRUE(send("q", "short", 5ms));
    ASSERT_TRUE(send("q", "long", 3600'000ms));
    ASSERT_TRUE(send("q", "endless", std::nullopt));
    ASSERT_TRUE(send("ttl", "by queue", 3600'000ms));
    const auto consumer = client.consume({"q", "ttl"}, 4);
    std::vector<std::string> expired;
    for (const Delivery& got : consumer->receive_many(4)) {
        if (got.expired) expired.push_back(got.message.body);
    }
    EXPECT_THAT(expired, UnorderedElementsAre("short", "by queue"));
}

// --- queues --------------------------------------------------------------------------

TEST_P(BrokerConformance, PurgeTakesWhatWaitsAndNotWhatIsUnsettled) {
    Client client{*store_};
    client.queue("q");
    for (const char* body : {"out", "a", "b"}) client.send("q", body);
    ASSERT_TRUE(client.publish({.routing_key = "q", .message = {.body = std::string(5000, 'x')}}));
    const auto consumer = client.consume({"q"}, 1);
    const Delivery out = consumer->receive_one();
    EXPECT_EQ(client.run(client.broker().purge("q", soon())).value(), 3U);
    EXPECT_EQ(client.status("q").unsettled, 1U);
    consumer->reject(out, Requeue::yes);
    EXPECT_EQ(consumer->receive_one().message.body, "out");
    EXPECT_EQ(client.run(client.broker().purge("none", soon())).error().code, Errc::not_found);
}

TEST_P(BrokerConformance, StatusCounts) {
    Client client{*store_};
    client.queue("q");
    for (const char* body : {"a", "b", "c"}) client.send("q", body);
    const auto consumer = client.consume({"q"}, 1);
    (void)consumer->receive_one();
    const QueueStatus status = client.status("q");
    EXPECT_EQ(status.ready, 2U);
    EXPECT_EQ(status.unsettled, 1U);
    EXPECT_EQ(status.delayed, 0U);
    EXPECT_EQ(status.consumers, 1U);
    EXPECT_EQ(client.run(client.broker().queue_status("none", soon())).error().code,
              Errc::not_found);
}

TEST_P(BrokerConformance, QueuesAreListedSorted) {
    Client client{*store_};
    for (const char* name : {"b", "a", "c"}) client.queue(name);
    EXPECT_THAT(client.run(client.broker().list_queues(soon())).value(),
                ElementsAre("a", "b", "c"));
}

TEST_P(BrokerConformance, RedeclaringDifferentlyIsAConflictThatNamesQueueAndArgument) {
    Client client{*store_};
    QueueDeclaration queue{.name = "q", .max_priority = 5, .message_ttl = 1000ms};
    queue.arguments.set("x-mine", 1);
    ASSERT_TRUE(client.declare(queue));
    EXPECT_TRUE(client.declare(queue));
    const auto refused_for = [&](QueueDeclaration other, std::string_view argument) {
        const auto refused = client.declare(std::move(other));
        ASSERT_FALSE(refused) << argument;
        EXPECT_EQ(refused.error().code, Errc::conflict);
        EXPECT_THAT(refused.error().detail, HasSubstr("'q'"));
        EXPECT_THAT(refused.error().detail, HasSubstr(argument));
    };
    auto other = queue;
    other.max_priority = 6;
    refused_for(other, "max_priority");
    other = queue;
    other.message_ttl.reset();
    refused_for(other, "message_ttl");
    other = queue;
    other.auto_delete = true;
    refused_for(other, "auto_delete");
    other = queue;
    other.arguments.set("x-mine", 2);
    if (GetParam().compares_unknown_arguments) refused_for(other, "arguments");
    EXPECT_EQ(client.declare({.name = ""}).error().code, Errc::invalid_argument);
}

TEST_P(BrokerConformance, AQueueCanBeAddedToAConsumerAndCancelled) {
    Client client{*store_};
    for (const char* name : {"a", "b"}) client.queue(name);
    client.send("b", "1");
    const auto consumer = client.consume({"a"}, 5);
    EXPECT_TRUE(consumer->nothing_comes());
    ASSERT_TRUE(client.run(consumer->consumer().add_queue("b", soon())));
    const Delivery got = consumer->receive_one();
    EXPECT_EQ(got.queue, "b");
    EXPECT_EQ(client.status("b").consumers, 1U);
    ASSERT_TRUE(client.run(consumer->consumer().cancel_queue("b", soon())));
    EXPECT_EQ(client.status("b").consumers, 0U);
    client.send("b", "2");
    client.send("a", "3");
    EXPECT_EQ(consumer->receive_one().message.body, "3");
    EXPECT_TRUE(consumer->nothing_comes());
    consumer->ack_all({got});
    EXPECT_EQ(client.status("b").unsettled, 0U);
    EXPECT_EQ(client.run(consumer->consumer().add_queue("none", soon())).error().code,
              Errc::not_found);
}

TEST_P(BrokerConformance, ConsumingNeedsExistingQueuesAndAPossiblePrefetch) {
    Client client{*store_};
    auto& broker = client.broker();
    client.queue("q");
    EXPECT_EQ(client.run(broker.consume({.queues = {"none"}}, soon())).error().code,
              Errc::not_found);
    EXPECT_EQ(client.run(broker.consume({.queues = {"q"}, .prefetch = 0}, soon())).error().code,
              Errc::invalid_argument);
}

TEST_P(BrokerConformance, AnAutoDeleteQueueGoesWithItsLastConsumer) {
    Client client{*store_};
    Client other{*store_};
    ASSERT_TRUE(client.declare({.name = "q", .auto_delete = true}));
    client.send("q", "a");
    auto first = client.consume({"q"}, 1);
    auto second = other.consume({"q"}, 1);
    ASSERT_TRUE(client.run(first->consumer().close(soon())));
    EXPECT_EQ(client.status("q").consumers, 1U);
    ASSERT_TRUE(other.run(second->consumer().close(soon())));
    EXPECT_THAT(client.run(client.broker().list_queues(soon())).value(), IsEmpty());
}

TEST_P(BrokerConformance, AnExclusiveQueueIsItsConnectionsOwnAndGoesWithIt) {
    Client other{*store_};
    {
        Client client{*store_};
        ASSERT_TRUE(client.declare({.name = "mine", .exclusive = true}));
        client.send("mine", "a");
        other.send("mine", "b");
        EXPECT_EQ(other.declare({.name = "mine", .exclusive = true}).error().code, Errc::conflict);
        EXPECT_EQ(other.run(other.broker().consume({.queues = {"mine"}}, soon())).error().code,
                  Errc::conflict);
        EXPECT_THAT(bodies(client.consume({"mine"}, 2)->receive_many(2)), ElementsAre("a", "b"));
    }
    EXPECT_THAT(other.run(other.broker().list_queues(soon())).value(), IsEmpty());
}

TEST_P(BrokerConformance, AnUnusedQueueExpiresAndAUsedOneDoesNot) {
    Client client{*store_};
    ASSERT_TRUE(client.declare({.name = "used", .expires = 1000ms}));
    const auto consumer = client.consume({"used"}, 1);
    ASSERT_TRUE(client.declare({.name = "unused", .expires = 1000ms}));
    const Deadline limit = soon();
    // Looking at a queue is using it, for RabbitMQ; publishing to it is not.
    Result<void> sent;
    while (sent && !limit.passed()) {
        (void)consumer->receive(Deadline::in(20ms));
        sent = client.publish({.routing_key = "unused", .message = {.body = "x"}});
    }
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().code, Errc::unroutable);
    EXPECT_THAT(client.run(client.broker().list_queues(soon())).value(), ElementsAre("used"));
}

TEST_P(BrokerConformance, DeletingAQueueTellsItsConsumer) {
    Client client{*store_};
    for (const char* name : {"gone", "kept"}) client.queue(name);
    client.send("gone", "a");
    const auto consumer = client.consume({"gone", "kept"}, 2);
    const Delivery out = consumer->receive_one();
    auto waiting = client.start(consumer->consumer().receive(soon()));
    ASSERT_TRUE(client.run(client.broker().delete_queue("gone", soon())));
    const auto told = waiting.get();
    ASSERT_FALSE(told);
    EXPECT_EQ(told.error().code, Errc::not_found);
    EXPECT_THAT(told.error().detail, HasSubstr("gone"));
    client.send("kept", "b");
    EXPECT_EQ(consumer->receive_one().message.body, "b");
    consumer->ack(out);
    consumer->flush();
    EXPECT_EQ(consumer->consumer().stale_settlements(), 1U);
    EXPECT_EQ(client.run(client.broker().delete_queue("gone", soon())).error().code,
              Errc::not_found);
}

}  // namespace lovage::conformance

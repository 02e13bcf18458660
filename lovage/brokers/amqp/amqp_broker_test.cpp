#include <lovage/brokers/amqp/amqp_broker.hpp>
#include <lovage/brokers/amqp/test_vhost.hpp>
#include <lovage/brokers/conformance.hpp>
#include <lovage/brokers/test_client.hpp>

namespace lovage::conformance {
namespace {

class AmqpBrokerStore final : public BrokerStore {
public:
    std::unique_ptr<Broker> make_broker(Executor executor) override {
        return make_amqp_broker(std::move(executor), {.url = vhost_.url()});
    }

private:
    TestVhost vhost_;
};

INSTANTIATE_TEST_SUITE_P(RabbitMq, BrokerConformance,
                         testing::Values(BrokerDriver{
                             .name = "amqp",
                             .make_store = [] { return std::make_unique<AmqpBrokerStore>(); },
                             .delivers_expired = false,
                             .requeues_in_place = false,
                             .passes_wide_integers = false,
                             .takes_strict_turns = false,
                             .compares_unknown_arguments = false}),
                         driver_name);

// --- what only RabbitMQ has ------------------------------------------------------------

class RabbitMqOnly : public testing::Test {
protected:
    AmqpBrokerStore store_;
};

TEST_F(RabbitMqOnly, QuorumQueuesAreConsumedWithAPrefetchThatMayChange) {
    TestClient client{[&](Executor executor) { return store_.make_broker(std::move(executor)); }};
    QueueDeclaration quorum{.name = "q"};
    quorum.arguments.set("x-queue-type", "quorum");
    ASSERT_TRUE(client.declare(quorum));
    for (const char* body : {"a", "b", "c", "d", "e"}) client.send("q", body);
    const auto consumer = client.consume({"q"}, 1);
    const auto first = consumer->receive_many(1);
    EXPECT_TRUE(consumer->nothing_comes());
    client.on_loop([&] { consumer->consumer().set_prefetch(3); });
    const auto more = consumer->receive_many(2);
    EXPECT_TRUE(consumer->nothing_comes());
    consumer->ack_all(first);
    consumer->ack_all(more);
    consumer->ack_all(consumer->receive_many(2));
    EXPECT_EQ(client.status("q").ready, 0U);
    EXPECT_EQ(consumer->consumer().unsettled(), 0U);
}

TEST_F(RabbitMqOnly, WhatOthersSayAboutAMessageGoesOnWithIt) {
    TestClient client{[&](Executor executor) { return store_.make_broker(std::move(executor)); }};
    ASSERT_TRUE(client.declare({.name = "q"}));
    const auto consumer = client.consume({"q"}, 2);
    Publication publication{.routing_key = "q"};
    MessageProperties& foreign = publication.message.properties;
    foreign.message_id = "m-1";
    foreign.type = "order";
    foreign.app_id = "shop";
    foreign.timestamp = 1'795'278'691;
    ASSERT_TRUE(client.publish(std::move(publication)));
    Delivery got = consumer->receive_one();
    ASSERT_TRUE(client.publish({.routing_key = "q", .message = std::move(got.message)}));
    got = consumer->receive_one();
    EXPECT_EQ(got.message.properties.message_id, "m-1");
    EXPECT_EQ(got.message.properties.type, "order");
    EXPECT_EQ(got.message.properties.app_id, "shop");
    EXPECT_EQ(got.message.properties.timestamp, 1'795'278'691U);
}

TEST_F(RabbitMqOnly, AnExpiryFarAwayHoldsNothingElseUp) {
    using namespace std::chrono_literals;
    TestClient client{[&](Executor executor) { return store_.make_broker(std::move(executor)); }};
    ASSERT_TRUE(client.declare({.name = "q"}));
    const auto send = [&](std::string body, std::optional<std::chrono::milliseconds> expiration) {
        Publication publication{.routing_key = "q"};
        publication.message.body = std::move(body);
        publication.message.properties.expiration = expiration;
        return client.publish(std::move(publication));
    };
    EXPECT_TRUE(send("before", std::nullopt));
    EXPECT_TRUE(send("longest", 315'360'000'000ms));
    EXPECT_TRUE(send("year 2100", 24h * 365 * 74));
    EXPECT_TRUE(send("after", std::nullopt));
    EXPECT_EQ(client.status("q").ready, 4U);
}

TEST_F(RabbitMqOnly, AQuorumQueueMadeByOthersIsConsumedToo) {
    TestClient maker{[&](Executor executor) { return store_.make_broker(std::move(executor)); }};
    QueueDeclaration quorum{.name = "q"};
    quorum.arguments.set("x-queue-type", "quorum");
    ASSERT_TRUE(maker.declare(quorum));
    maker.send("q", "a");
    TestClient client{[&](Executor executor) { return store_.make_broker(std::move(executor)); }};
    // RabbitMQ closes the channel over what it does not know for this type; the next one is right.
    const auto consumer = client.consume({"q"}, 1);
    auto got = consumer->receive();
    if (!got) got = consumer->receive();
    ASSERT_TRUE(got) << got.error().message();
    EXPECT_EQ(got->front().message.body, "a");
}

TEST_F(RabbitMqOnly, ARenewedConnectionGivesConsumersWhatTheyHeld) {
    TestClient client{[&](Executor executor) { return store_.make_broker(std::move(executor)); }};
    ASSERT_TRUE(client.declare({.name = "q"}));
    client.send("q", "a");
    const auto consumer = client.consume({"q"}, 2);
    const auto held = consumer->receive_many(1);
    const auto renewed = client.run(client.broker().renew(soon()));
    ASSERT_TRUE(renewed) << renewed.error().message();
    const auto lost = consumer->receive();
    ASSERT_FALSE(lost);
    EXPECT_EQ(lost.error().code, Errc::disconnected);
    consumer->ack_all(held);  // stale: it is another connection's
    client.send("q", "b");
    const auto again = consumer->receive_many(2);
    ASSERT_EQ(again.size(), 2U);
    EXPECT_TRUE(again.front().redelivered);
    consumer->ack_all(again);
    EXPECT_EQ(client.status("q").ready, 0U);
}

TEST_F(RabbitMqOnly, AForgottenQueueIsNotMadeAgain) {
    TestClient client{[&](Executor executor) { return store_.make_broker(std::move(executor)); }};
    TestClient other{[&](Executor executor) { return store_.make_broker(std::move(executor)); }};
    for (const char* queue : {"used", "forgotten"}) {
        ASSERT_TRUE(client.declare({.name = queue}));
        ASSERT_TRUE(client.run(client.broker().declare_exchange({.name = queue}, soon())));
        ASSERT_TRUE(client.run(client.broker().bind({queue, queue, queue}, soon())));
    }
    client.on_loop([&] { client.broker().forget_queue("forgotten"); });
    for (const char* queue : {"used", "forgotten"}) {
        ASSERT_TRUE(other.run(other.broker().delete_queue(queue, soon())));
    }
    ASSERT_TRUE(client.run(client.broker().renew(soon())));
    EXPECT_TRUE(client.run(client.broker().queue_status("used", soon())));
    const auto gone = client.run(client.broker().queue_status("forgotten", soon()));
    ASSERT_FALSE(gone);
    EXPECT_EQ(gone.error().code, Errc::not_found);
}

/// It goes with its last consumer, however that ends.
TEST_F(RabbitMqOnly, AQueueThatWentWithItsConsumerIsNotMadeAgain) {
    TestClient client{[&](Executor executor) { return store_.make_broker(std::move(executor)); }};
    const auto consume = [&](const char* queue) {
        EXPECT_TRUE(client.declare({.name = queue, .auto_delete = true}));
        return client.consume({queue}, 1);
    };
    const auto closed = consume("closed");
    EXPECT_TRUE(client.run(closed->consumer().close(soon())));
    const auto cancelled = consume("cancelled");
    EXPECT_TRUE(client.run(cancelled->consumer().cancel(soon())));
    const auto left = consume("left");
    EXPECT_TRUE(client.run(left->consumer().cancel_queue("left", soon())));
    consume("dropped").reset();
    const auto used = consume("used");
    ASSERT_TRUE(client.run(client.broker().renew(soon())));
    for (const char* queue : {"closed", "cancelled", "left", "dropped"}) {
        const auto gone = client.run(client.broker().queue_status(queue, soon()));
        ASSERT_FALSE(gone) << queue;
        EXPECT_EQ(gone.error().code, Errc::not_found);
    }
    EXPECT_TRUE(client.run(client.broker().queue_status("used", soon())));
}

/// It stays for the others: not the first one's end, the last one's makes it go.
TEST_F(RabbitMqOnly, AQueueThatIsStillConsumedIsMadeAgain) {
    TestClient client{[&](Executor executor) { return store_.make_broker(std::move(executor)); }};
    const auto consume = [&](const char* queue) {
        EXPECT_TRUE(client.declare({.name = queue, .auto_delete = true}));
        return client.consume({queue}, 1);
    };
    std::vector<decltype(consume(""))> staying;
    for (const char* queue : {"closed", "cancelled", "left", "dropped"}) {
        staying.push_back(consume(queue));
    }
    EXPECT_TRUE(client.run(consume("closed")->consumer().close(soon())));
    EXPECT_TRUE(client.run(consume("cancelled")->consumer().cancel(soon())));
    EXPECT_TRUE(client.run(consume("left")->consumer().cancel_queue("left", soon())));
    consume("dropped").reset();
    ASSERT_TRUE(client.run(client.broker().renew(soon())));
    for (const char* queue : {"closed", "cancelled", "left", "dropped"}) {
        client.send(queue, "again");
    }
    for (const auto& consumer : staying) {
        const auto lost = consumer->receive();
        ASSERT_FALSE(lost);
        EXPECT_EQ(lost.error().code, Errc::disconnected);
        const auto again = consumer->receive();
        EXPECT_TRUE(again) << again.error().message();
    }
}

/// The server says that it is gone: nobody consumes it any more, unless somebody makes it again.
TEST_F(RabbitMqOnly, AQueueThatWasDeletedUnderItsConsumerIsNotMadeAgain) {
    TestClient client{[&](Executor executor) { return store_.make_broker(std::move(executor)); }};
    TestClient other{[&](Executor executor) { return store_.make_broker(std::move(executor)); }};
    for (const char* queue : {"deleted", "revived"}) {
        ASSERT_TRUE(client.declare({.name = queue, .auto_delete = true}));
    }
    const auto consumer = client.consume({"deleted", "revived"}, 1);
    for (const char* queue : {"deleted", "revived"}) {
        ASSERT_TRUE(other.run(other.broker().delete_queue(queue, soon())));
        const auto news = consumer->receive();
        ASSERT_FALSE(news);
        EXPECT_EQ(news.error().code, Errc::not_found) << news.error().message();
    }
    ASSERT_TRUE(client.declare({.name = "revived", .auto_delete = true}));
    ASSERT_TRUE(client.run(consumer->consumer().add_queue("revived", soon())));
    ASSERT_TRUE(client.run(client.broker().renew(soon())));
    const auto gone = client.run(client.broker().queue_status("deleted", soon()));
    ASSERT_FALSE(gone);
    EXPECT_EQ(gone.error().code, Errc::not_found);
    EXPECT_TRUE(client.run(client.broker().queue_status("revived", soon())));
}

/// RabbitMQ closes a channel over an exchange that is not there, and forgets what was under way.
TEST_F(RabbitMqOnly, WhatGoesWrongAsideTouchesNoOtherMessage) {
    constexpr int kMessages = 2000;
    TestClient client{[&](Executor executor) { return store_.make_broker(std::move(executor)); }};
    ASSERT_TRUE(client.declare({.name = "q"}));
    std::vector<std::future<Result<void>>> sent;
    std::vector<std::future<Result<void>>> events;
    for (int i = 0; i < kMessages; ++i) {
        sent.push_back(client.start(client.broker().publish({.routing_key = "q"}, soon())));
        if (i % 100 != 0) continue;
        Publication event{.exchange = "deleted", .mandatory = false, .aside = true};
        events.push_back(client.start(client.broker().publish(std::move(event), soon())));
    }
    for (auto& each : sent) EXPECT_TRUE(each.get());
    int refused = 0;
    for (auto& each : events) refused += each.get() ? 0 : 1;
    EXPECT_EQ(refused, kMessages / 100);
    EXPECT_EQ(client.status("q").ready, std::uint64_t{kMessages});
    // Its next channel works.
    EXPECT_TRUE(client.publish({.routing_key = "q", .aside = true}));
}

using namespace std::chrono_literals;

Publication delayed(std::string queue, std::chrono::milliseconds delay) {
    Publication publication{.routing_key = std::move(queue), .delay = delay};
    publication.message.properties.priority = 3;
    publication.message.properties.correlation_id = "c";
    publication.message.headers = Json::object({{"task", "t"}, {"wide", 1LL << 40}});
    publication.message.body = "later";
    return publication;
}

class RabbitMqDelays : public RabbitMqOnly, public testing::WithParamInterface<const char*> {
protected:
    RabbitMqDelays() {
        QueueDeclaration queue{.name = "q"};
        queue.arguments.set("x-queue-type", GetParam());
        EXPECT_TRUE(client_.declare(std::move(queue)));
    }
    TestClient client_{[&](Executor executor) { return store_.make_broker(std::move(executor)); }};
};
INSTANTIATE_TEST_SUITE_P(Queues, RabbitMqDelays, testing::Values("classic", "quorum"),
                         [](const auto& info) { return std::string{info.param}; });

TEST_P(RabbitMqDelays, AMessageComesBackAsItWasAfterHalfOfItsDelayOrMore) {
    const auto consumer = client_.consume({"q"}, 2);
    // The quickest of several rounds: on a busy machine any of them may take longer.
    std::chrono::steady_clock::duration quickest = 1h;
    for (int round = 0; round < 2 || (quickest > 1900ms && round < 10); ++round) {
        const auto start = std::chrono::steady_clock::now();
        ASSERT_TRUE(client_.publish(delayed("q", 1900ms)));
        const Delivery got = consumer->receive_one();
        const auto took = std::chrono::steady_clock::now() - start;
        EXPECT_GE(took, 990ms);
        quickest = std::min(quickest, took);
        EXPECT_EQ(got.queue, "q");
        EXPECT_EQ(got.routing_key, "q");
        EXPECT_EQ(got.message.body, "later");
        EXPECT_EQ(got.message.properties.correlation_id, "c");
        EXPECT_EQ(got.message.properties.priority, 3);
        EXPECT_EQ(got.message.properties.delivery_mode, 2);
        EXPECT_EQ(to_json_text(got.message.headers), R"({"task": "t", "wide": 1099511627776})");
        consumer->ack(got);
    }
    EXPECT_LE(quickest, 1900ms);
}

TEST_P(RabbitMqDelays, ManyAtOnceNeedOneDeclaration) {
    std::vector<std::future<Result<void>>> sent;
    for (int i = 0; i < 200; ++i) {
        sent.push_back(client_.start(client_.broker().publish(delayed("q", 1s), soon())));
    }
    for (auto& each : sent) EXPECT_TRUE(each.get());
    EXPECT_EQ(client_.consume({"q"}, 200)->receive_many(200).size(), 200U);
}

TEST_P(RabbitMqDelays, PurgingIncludesWhatIsDelayed) {
    client_.send("q", "now");
    ASSERT_TRUE(client_.publish(delayed("q", 24h)));
    ASSERT_TRUE(client_.publish(delayed("q", 2h)));
    const auto purged = client_.run(client_.broker().purge("q", soon()));
    ASSERT_TRUE(purged) << purged.error().message();
    EXPECT_EQ(*purged, 3U);
    // Its delay queues are made again.
    EXPECT_TRUE(client_.publish(delayed("q", 24h)));
}

TEST_P(RabbitMqDelays, ADelayQueueThatSomebodyDeletedIsMadeAgain) {
    ASSERT_TRUE(client_.publish(delayed("q", 1s)));
    EXPECT_EQ(client_.consume({"q"}, 1)->receive_one().message.body, "later");
    TestClient other{[&](Executor executor) { return store_.make_broker(std::move(executor)); }};
    ASSERT_TRUE(other.run(other.broker().delete_queue("q.delay.1s", soon())));
    const auto lost = client_.publish(delayed("q", 1s));
    EXPECT_EQ(lost.error().code, Errc::unroutable);
    EXPECT_TRUE(client_.publish(delayed("q", 1s)));
}

}  // namespace
}  // namespace lovage::conformance

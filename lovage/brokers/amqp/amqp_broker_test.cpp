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

TEST_F(RabbitMqOnly, AQuorumQueueMadeByOthersIsConsumedToo) {
    TestClient maker{[&](Executor executor) { return store_.make_broker(std::move(executor)); }};
    QueueDeclaration quorum{.name = "q"};
    quorum.arguments.set("x-queue-type", "quorum");
    ASSERT_TRUE(maker.declare(quorum));
    maker.send("q", "a");
    TestClient client{[&](Executor executor) { return store_.make_broker(std::move(executor)); }};
    // RabbitMQ ends the connection over the limit it does not know for this type; the next one is
    // right.
    (void)client.run(client.broker().consume({.queues = {"q"}}, soon()));
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
    for (int i = 0; i < 3; ++i) {
        const auto renewed = client.run(client.broker().renew(soon()));
        ASSERT_TRUE(renewed) << renewed.error().message();
    }
    const auto lost = consumer->receive();
    ASSERT_FALSE(lost);
    EXPECT_EQ(lost.error().code, Errc::disconnected);
    consumer->ack_all(held);  // stale: it is another connection's
    client.send("q", "b");
    const auto again = consumer->receive_many(2);
    EXPECT_TRUE(again.front().redelivered);
    consumer->ack_all(again);
    EXPECT_EQ(client.status("q").ready, 0U);
}

}  // namespace
}  // namespace lovage::conformance
